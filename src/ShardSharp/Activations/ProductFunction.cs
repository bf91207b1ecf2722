using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Activations;

/// <summary>
/// A linear layer whose product is known already: its place in autograd's graph, with the gradients that libtorch computes for it, bit for bit.
/// </summary>
internal sealed class ProductFunction : autograd.SingleTensorFunction<ProductFunction>
{
    private const string Shared = "recomputation", OfInput = "input", OfWeight = "weight", OfBias = "bias";

    public override string Name => nameof(ProductFunction);

    /// <param name="product">The product [.., outputs]. Owned from now on.</param>
    /// <param name="input">What was multiplied [.., inputs].</param>
    /// <param name="weight">[outputs, inputs]</param>
    /// <param name="bias">[outputs], or null.</param>
    /// <param name="recomputation">What the model's regions share.</param>
    public static Tensor Run(Tensor product, Tensor input, Parameter weight, Parameter? bias, Recomputation recomputation)
    {
        if (!is_grad_enabled() || !(input.requires_grad || weight.requires_grad || bias?.requires_grad is true))
            return product;

        // TorchSharp makes another tensor of the product's size, which nobody needs.
        using var scope = NewDisposeScope();
        Tensor[] tensors = bias is null ? [input, weight] : [input, weight, bias];
        return apply([recomputation, new List<Tensor> { product }, .. tensors]).MoveToOuterDisposeScope();
    }

    public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        Tensor input = (Tensor)vars[2], weight = (Tensor)vars[3];
        ctx.save_data(Shared, vars[0]);
        ctx.save_data(OfInput, input.requires_grad);
        ctx.save_data(OfWeight, weight.requires_grad);
        ctx.save_data(OfBias, vars.Length > 4);
        ctx.save_for_backward([input, weight]);
        return ((List<Tensor>)vars[1])[0];
    }

    public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        var recomputation = (Recomputation)ctx.get_data(Shared);
        List<Tensor?> gradients = [];
        using (var scope = NewDisposeScope())
        {
            var saved = ctx.get_saved_variables();
            Tensor input = saved[0], weight = saved[1];
            var rows = input.reshape(-1, input.shape[^1]);
            var gradient = grad_output.reshape(-1, weight.shape[0]);
            var part = recomputation.Division?.Part;
            gradients.Add((bool)ctx.get_data(OfInput) && part != BackwardPart.Parameters
                ? InputGradient(rows, weight, gradient).reshape(input.shape) : null);
            gradients.Add((bool)ctx.get_data(OfWeight) && part != BackwardPart.Inputs ? WeightGradient(rows, weight, gradient) : null);

            // Autograd sums up what is larger than the parameter. libtorch adds the bias to a matrix, or to whatever the product is reshaped to.
            if ((bool)ctx.get_data(OfBias))
                gradients.Add(input.dim() == 2 ? gradient : grad_output.alias());
            foreach (var tensor in gradients)
                tensor?.DetachFromDisposeScope();
        }

        recomputation.HandOver(gradients);
        return [null!, null!, .. gradients.Select(gradient => gradient!)];
    }

    /// <summary>As <c>mm_mat1_grad</c> of libtorch: for inputs that lie transposed, the product of the transposes.</summary>
    private static Tensor InputGradient(Tensor rows, Tensor weight, Tensor gradient) =>
        IsTransposed(rows) ? weight.t().mm(gradient.t()).t() : gradient.mm(weight);

    /// <summary>As <c>mm_mat2_grad</c>.</summary>
    private static Tensor WeightGradient(Tensor rows, Tensor weight, Tensor gradient)
    {
        using var factor = weight.t();
        return IsTransposed(factor) ? gradient.t().mm(rows) : rows.t().mm(gradient).t();
    }

    private static bool IsTransposed(Tensor matrix)
    {
        var strides = matrix.stride();
        return strides[0] == 1 && strides[1] == matrix.shape[0];
    }
}
