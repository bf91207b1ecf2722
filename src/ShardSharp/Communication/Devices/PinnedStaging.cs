using ShardSharp.Native;

namespace ShardSharp.Communication;

/// <summary>Runs an operation to its end on the calling thread.</summary>
internal delegate void CollectiveExecution(in CollectiveCall call);

/// <summary>Carries a GPU's memory through pinned memory of the host, for groups that communicate the host's memory.</summary>
/// <remarks>
/// A long call is done in steps. While the ranks exchange one step, the GPU copies the input of the next one in and the result of the one
/// before out, on a stream of its own; events tell when a half of the memory may be used again.
/// </remarks>
internal sealed unsafe class PinnedStaging : IDisposable
{
    /// <summary>Bytes of one of the four parts of the memory: two for input, two for output.</summary>
    public const int PartBytes = 4 * 1024 * 1024;

    private readonly ICudaDevice _device;
    private readonly byte* _memory;
    private readonly nint _stream;
    private readonly nint[] _fetched;
    private readonly nint[] _delivered;

    public PinnedStaging(ICudaDevice device)
    {
        _device = device;
        _memory = device.AllocatePinned(4L * PartBytes);
        _stream = device.CreateStream();
        _fetched = [device.CreateEvent(), device.CreateEvent()];
        _delivered = [device.CreateEvent(), device.CreateEvent()];
    }

    /// <summary>The device whose memory it carries.</summary>
    public int Device => _device.Index;

    /// <summary>Does a call and returns when the device has its result.</summary>
    /// <param name="call">The call on the device's memory.</param>
    /// <param name="ranks">Ranks of the group.</param>
    /// <param name="execute">Does a step on memory of the host.</param>
    public void Run(in CollectiveCall call, int ranks, CollectiveExecution execute)
    {
        var steps = new StagedSteps(call, ranks, PartBytes);
        var inPlace = call.Output.IsSameMemoryAs(call.Input);
        _device.Wait(_stream, call.Mark!.Event);
        try
        {
            Fetch(steps, 0);
            for (var step = 0; step < steps.Count; step++)
            {
                if (step + 1 < steps.Count)
                    Fetch(steps, step + 1);
                _device.Synchronize(_fetched[step & 1]);
                if (step > 1)
                    _device.Synchronize(_delivered[step & 1]);
                var output = inPlace ? InputPart(step) : OutputPart(step);
                execute(steps.Call(step, InputPart(step), output));
                Deliver(steps, step, output);
            }
        }
        finally
        {
            // The memory serves the next call, after a failure too.
            _device.Record(_delivered[0], _stream);
            _device.Synchronize(_delivered[0]);
        }
    }

    public void Dispose()
    {
        foreach (var mark in (nint[])[.. _fetched, .. _delivered])
            _device.DestroyEvent(mark);
        _device.DestroyStream(_stream);
        _device.FreePinned(_memory);
    }

    private byte* InputPart(int step) => _memory + ((step & 1) * (long)PartBytes);

    private byte* OutputPart(int step) => _memory + ((2 + (step & 1)) * (long)PartBytes);

    // The stream keeps the order, so a part is not overwritten before what the step before last left there has been copied out.
    private void Fetch(in StagedSteps steps, int step)
    {
        var input = steps.Input(step);
        foreach (var run in input.Runs(0, input.Length))
            _device.Copy(InputPart(step) + run.Offset, run.Address, run.Length, _stream);
        _device.Record(_fetched[step & 1], _stream);
    }

    private void Deliver(in StagedSteps steps, int step, byte* part)
    {
        var output = steps.Output(step);
        foreach (var run in output.Runs(0, output.Length))
            _device.Copy(run.Address, part + run.Offset, run.Length, _stream);
        _device.Record(_delivered[step & 1], _stream);
    }
}
