using static TorchSharp.torch;

namespace ShardSharp.TensorParallel.Replacement;

/// <summary>Modules of the signatures of replaced ones around distributed modules, which are their children <c>distributed</c>.</summary>
internal static class AdaptedModules
{
    private const string Child = "distributed";

    private static readonly Type[] Definitions = [typeof(Adapted<,>), typeof(Adapted<,,>), typeof(Adapted<,,,>), typeof(Adapted<,,,,>)];

    /// <summary>Makes one.</summary>
    /// <param name="replaced">The module whose signature it gets.</param>
    /// <param name="call">Calls the distributed module.</param>
    public static nn.Module Create(nn.Module replaced, AdaptedCall call)
    {
        var signature = AdaptedCall.CallableBase(replaced)?.GetGenericArguments();
        if (signature is null || signature.Length - 2 >= Definitions.Length)
        {
            throw new TensorParallelException(
                $"A {replaced.GetType().Name} cannot be replaced by hooks of a registration, which need a module of one to {Definitions.Length} arguments.");
        }

        return (nn.Module)Activator.CreateInstance(Definitions[signature.Length - 2].MakeGenericType(signature), call)!;
    }

    private sealed class Adapted<T, TResult> : nn.Module<T, TResult>
    {
        private readonly AdaptedCall _call;

        public Adapted(AdaptedCall call)
            : base(Child)
        {
            _call = call;
            register_module(Child, call.Module);
        }

        public override TResult forward(T first) => (TResult)_call.Run(first)!;
    }

    private sealed class Adapted<T1, T2, TResult> : nn.Module<T1, T2, TResult>
    {
        private readonly AdaptedCall _call;

        public Adapted(AdaptedCall call)
            : base(Child)
        {
            _call = call;
            register_module(Child, call.Module);
        }

        public override TResult forward(T1 first, T2 second) => (TResult)_call.Run(first, second)!;
    }

    private sealed class Adapted<T1, T2, T3, TResult> : nn.Module<T1, T2, T3, TResult>
    {
        private readonly AdaptedCall _call;

        public Adapted(AdaptedCall call)
            : base(Child)
        {
            _call = call;
            register_module(Child, call.Module);
        }

        public override TResult forward(T1 first, T2 second, T3 third) => (TResult)_call.Run(first, second, third)!;
    }

    private sealed class Adapted<T1, T2, T3, T4, TResult> : nn.Module<T1, T2, T3, T4, TResult>
    {
        private readonly AdaptedCall _call;

        public Adapted(AdaptedCall call)
            : base(Child)
        {
            _call = call;
            register_module(Child, call.Module);
        }

        public override TResult forward(T1 first, T2 second, T3 third, T4 fourth) => (TResult)_call.Run(first, second, third, fourth)!;
    }
}
