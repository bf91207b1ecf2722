using ShardSharp.Native;

namespace ShardSharp.Communication.Nccl;

/// <summary>Calls of NCCL that it takes as one: between ncclGroupStart and ncclGroupEnd.</summary>
internal readonly ref struct NcclCallGroup
{
    private readonly INcclEntryPoints _nccl;
    private readonly Action<NcclResult, string> _check;

    /// <param name="nccl">The library.</param>
    /// <param name="check">Throws where a function reported an error.</param>
    public NcclCallGroup(INcclEntryPoints nccl, Action<NcclResult, string> check)
    {
        (_nccl, _check) = (nccl, check);
        _check(_nccl.GroupStart(), "ncclGroupStart");
    }

    public void Dispose() => _check(_nccl.GroupEnd(), "ncclGroupEnd");
}
