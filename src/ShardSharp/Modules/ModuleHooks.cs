using static TorchSharp.torch;

namespace ShardSharp.Modules;

/// <summary>Hooks on the calls of a module of any signature. TorchSharp has a type of hook for each.</summary>
internal sealed class ModuleHooks : IDisposable
{
    private readonly HookStack _stack;

    /// <param name="module">One that <see cref="ModuleTree.IsCalled"/>.</param>
    /// <param name="before">Given what the module is called with; returns what to call it with.</param>
    /// <param name="after">Given what the module returned; returns what to return.</param>
    /// <param name="outermost">Whether they go around the hooks that the module has, rather than inside of them.</param>
    public ModuleHooks(nn.Module module, Func<object?[], object?[]> before, Func<object?, object?> after, bool outermost = false)
    {
        (Before, After) = (before, after);
        _stack = HookStack.Of(module);
        _stack.Add(this, outermost);
    }

    /// <summary>What to do before the module's forward.</summary>
    public Func<object?[], object?[]> Before { get; }

    /// <summary>What to do after it.</summary>
    public Func<object?, object?> After { get; }

    public void Dispose() => _stack.Remove(this);
}
