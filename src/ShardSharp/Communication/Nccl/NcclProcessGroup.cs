using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using ShardSharp.Native;

namespace ShardSharp.Communication.Nccl;

/// <summary>A group whose ranks have a GPU each and communicate GPU memory through NCCL, and everything else through the host.</summary>
/// <remarks>
/// <para>An operation is queued on a stream of the group's own at the time of the call: behind what the caller had queued on its stream so
/// far, and, where the call blocks, ahead of what it queues there afterwards. The program itself goes on at once; a
/// <see cref="NcclWatchdog"/> follows what the GPU does.</para>
/// <para>That the ranks called the same is found out in the background (<see cref="CallAgreement"/>), so an error about it comes with a
/// later call of the group or with <see cref="Work.Wait"/>. Messages are agreed on before they are queued (<see cref="MessageLine"/>).</para>
/// </remarks>
internal sealed class NcclProcessGroup : ProcessGroup
{
    private readonly NcclWorld _world;
    private readonly ProcessGroup _host;
    private readonly NcclLine _line;
    private readonly CallAgreement _agreement;
    private readonly ConcurrentDictionary<(CollectiveKind Direction, int Peer), MessageLine> _messages = [];
    private readonly bool _ownsWorld;
    private DeviceWork? _last;

    /// <summary>Makes the group of all ranks, which all do together.</summary>
    /// <param name="world">The run that the rank takes part in; owned from now on.</param>
    /// <param name="host">The same ranks, through the host; owned from now on.</param>
    /// <param name="devices">The GPUs of this process.</param>
    /// <param name="site">Where the program asked for it.</param>
    public NcclProcessGroup(NcclWorld world, ProcessGroup host, ICudaDevices devices, CallSite site)
        : this(world, host, host.Recorder, site)
    {
        Devices = devices;
        _ownsWorld = true;
    }

    private NcclProcessGroup(NcclWorld world, ProcessGroup host, FlightRecorder? recorder, CallSite site)
        : base(host.Name, host.Rank, host.GlobalRanks, recorder)
    {
        (_world, _host, _agreement) = (world, host, new CallAgreement(host));
        var id = host.BroadcastObject(host.Rank == 0 ? world.CreateId().ToArray() : [], 0, site.File, site.Line);
        _line = new NcclLine(world, $"group '{host.Name}'", host.Size, host.Rank, NcclUniqueId.From(id));
    }

    internal override IRankDelays? Delays => _host.Delays;

    internal override IFailureBoard? Failures => _host.Failures;

    internal override bool IsOfDevices => true;

    internal override bool IsWithinProcess => _host.IsWithinProcess;

    private protected override void Execute(in CollectiveCall call) => _host.Perform(call);

    private protected override void RunInTurn(in CollectiveCall call)
    {
        _world.ThrowToProgram();
        base.RunInTurn(call);

        // Collectives that were called before are complete for the caller now, on the GPU too.
        if (call.Kind is not (CollectiveKind.Send or CollectiveKind.Receive))
            _last?.OrderCurrentStream();
    }

    private protected override void RunOnDevice(CollectiveCall call, ICudaDevice device)
    {
        Require(call, device);
        _world.ThrowToProgram();
        Queue(call, default, default).OrderCurrentStream();
    }

    private protected override Work StartOnDevice(CollectiveCall call, ICudaDevice device, TensorLease first, TensorLease second)
    {
        Require(call, device);
        _world.ThrowToProgram();
        return Queue(call with { InBackground = true }, first, second).Work;
    }

    private protected override ProcessGroup CreateSubgroup(
        string name, IReadOnlyList<IReadOnlyList<int>> partition, IReadOnlyList<int> mine, CallSite site)
    {
        var host = _host.SplitOff(name, partition, site);
        return mine.Count == 1 ? host : new NcclProcessGroup(_world, host, recorder: null, site);
    }

    private protected override void Leave()
    {
        NcclLine[] lines = [_line, .. _messages.Values.Select(messages => messages.Line).OfType<NcclLine>()];
        foreach (var line in lines)
            _world.Watchdog.Drain(line);
        foreach (var line in lines)
            line.BeginToClose();
        foreach (var line in lines)
            line.Close();
        foreach (var messages in _messages.Values)
            messages.Dispose();
        _agreement.Dispose();
        if (_ownsWorld)
            _world.Dispose();
        _host.Dispose();

        // Nothing that the program does with a GPU tells it by itself.
        if (_ownsWorld && _world.UnseenFailure is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    private DeviceWork Queue(CollectiveCall call, TensorLease first, TensorLease second)
    {
        var work = WorkOf(call, first, second);
        var mark = DeviceMark.Record(_world.Device);
        if (call.Kind is CollectiveKind.Send or CollectiveKind.Receive)
        {
            _ = FollowUp(call.Kind, call.Peer, recording => QueueMessage(call, work, mark, recording));
            return work;
        }

        QueueOn(() => _line, call, mark, work);
        _last = work;
        _ = FollowUp(call.Kind, call.Peer, recording =>
        {
            var sequence = work.Record(recording, call);
            try
            {
                _agreement.Reach(call with { Sequence = sequence });
                work.Agreed();
            }
            catch (Exception failure)
            {
                _world.Fail(failure);
            }
        });
        return work;
    }

    private protected override DeviceMessage MessageOnDevice(CollectiveCall call, ICudaDevice device, TensorLease lease)
    {
        Require(call, device);
        _world.ThrowIfFailed();
        var work = WorkOf(call, lease, default);
        var mark = DeviceMark.Record(_world.Device);
        return new DeviceMessage(work.Work, recording => QueueMessage(call, work, mark, recording));
    }

    private DeviceWork WorkOf(in CollectiveCall call, TensorLease first, TensorLease second) =>
        new(_world, $"{call} in group '{Name}' at {call.Site}", first, second);

    private void QueueMessage(CollectiveCall call, DeviceWork work, DeviceMark mark, GroupRecording recording)
    {
        _ = work.Record(recording, call);
        QueueOn(() => MessagesOf(call).Announce(call), call, mark, work);
        work.Agreed();
    }

    private void QueueOn(Func<NcclLine> meet, in CollectiveCall call, DeviceMark mark, DeviceWork work)
    {
        try
        {
            using (mark)
            {
                var line = meet();
                line.Queue(call, mark.Event);
                work.Queued(line);
            }
        }
        catch (Exception failure)
        {
            _world.Fail(failure);
            work.Fail(_world.Failure!);
        }
    }

    /// <summary>Called on the threads of the pairs.</summary>
    private MessageLine MessagesOf(CollectiveCall call) =>
        _messages.GetOrAdd((call.Kind, call.Peer), _ => new MessageLine(_world, _host, call.Kind, call.Peer));

    private void Require(in CollectiveCall call, ICudaDevice device)
    {
        if (device.Index != _world.Device.Index)
        {
            throw new ArgumentException(
                $"A tensor on cuda:{device.Index} was given; rank {_world.Rank} communicates those on its own GPU, cuda:{_world.Device.Index}.");
        }

        if (call.Kind is CollectiveKind.AllReduce or CollectiveKind.Reduce or CollectiveKind.ReduceScatter)
            _ = NcclTypes.Of(call.ElementType);
    }
}
