namespace ShardSharp.Launching;

/// <summary>
/// Puts the rank before each line written to the console where ranks share this process, or where this process is a rank that writes
/// past our launcher. A rank is known by its flow of execution: its thread, and what that starts. Other code writes as ever.
/// </summary>
internal sealed class RankOutput : IDisposable
{
    private readonly AsyncLocal<int?> _rank = new();
    private readonly RankTextWriter? _output;
    private readonly RankTextWriter? _error;
    private readonly TextWriter _installedOutput;
    private readonly TextWriter _installedError;

    private RankOutput(int worldSize, int? rank, bool takeOutput, bool takeError)
    {
        Output = Console.Out;
        Error = Console.Error;
        if (takeOutput)
            Console.SetOut(_output = new RankTextWriter(Output, worldSize, () => _rank.Value ?? rank));
        if (takeError)
            Console.SetError(_error = new RankTextWriter(Error, worldSize, () => _rank.Value ?? rank));
        (_installedOutput, _installedError) = (Console.Out, Console.Error);
    }

    /// <summary>The console's output beneath, for what draws on a terminal rather than writes lines.</summary>
    public TextWriter Output { get; }

    /// <summary>The console's error output beneath.</summary>
    public TextWriter Error { get; }

    /// <summary>Takes over Console.Out and Console.Error until disposed, for ranks that are threads.</summary>
    public static RankOutput ForThreads(int worldSize) => new(worldSize, rank: null, takeOutput: true, takeError: true);

    /// <summary>Takes over, until disposed, what of a rank process's output does not pass through our launcher, which would put the rank before
    /// its lines: that which goes straight to a terminal, and all of it under other launchers.</summary>
    public static RankOutput ForProcess(int rank, int worldSize, bool outputIsRelayed, bool errorIsRelayed) =>
        new(worldSize, rank, takeOutput: !outputIsRelayed, takeError: !errorIsRelayed);

    /// <summary>Makes the calling flow of execution that of a rank until the result is disposed, which writes out its last line.</summary>
    public IDisposable Enter(int rank)
    {
        var before = _rank.Value;
        _rank.Value = rank;
        return new Leaving(this, rank, before);
    }

    /// <summary>Writes out unfinished lines and gives the console back, unless something else has taken it over since.</summary>
    public void Dispose()
    {
        _output?.FinishAll();
        _error?.FinishAll();
        if (Console.Out == _installedOutput)
            Console.SetOut(Output);
        if (Console.Error == _installedError)
            Console.SetError(Error);
        _output?.Dispose();
        _error?.Dispose();
    }

    private sealed class Leaving(RankOutput owner, int rank, int? before) : IDisposable
    {
        public void Dispose()
        {
            owner._output?.Finish(rank);
            owner._error?.Finish(rank);
            owner._rank.Value = before;
        }
    }
}
