namespace ShardSharp.DataParallel;

/// <summary>A time during which all parameters of a model can be read.</summary>
/// <param name="end">Called when it is over, once.</param>
internal sealed class ReadableParameters(Action end) : IDisposable
{
    private Action? _end = end;

    public void Dispose()
    {
        _end?.Invoke();
        _end = null;
    }
}
