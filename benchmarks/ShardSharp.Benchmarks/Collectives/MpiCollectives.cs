using System.Runtime.InteropServices;
using ShardSharp.Native;
using static TorchSharp.torch;

namespace ShardSharp.Benchmarks;

/// <summary>The collectives of the MPI library itself, on its own world: the peer of ours. MPI must have been initialised.</summary>
internal sealed unsafe class MpiCollectives : ICollectives
{
    // Open MPI's mpi.h makes MPI_IN_PLACE 1, MPICH's -1; MPICH's other handles are the integers below.
    private const nint MpichFloat = 0x4c00040a, MpichDouble = 0x4c00080b, MpichSum = 0x58000003, MpichMax = 0x58000001;

    private readonly nint _library;
    private readonly nint _world;
    private readonly nint _statusIgnore;
    private readonly nint _inPlace;
    private readonly nint _float;
    private readonly nint _double;
    private readonly nint _sum;
    private readonly nint _max;
    private readonly delegate* unmanaged<nint, int> _barrier;
    private readonly delegate* unmanaged<nint, nint, int, nint, nint, nint, int> _allReduce;
    private readonly delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int> _allGather;
    private readonly delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int> _allToAll;
    private readonly delegate* unmanaged<nint, nint, int, nint, nint, nint, int> _reduceScatter;
    private readonly delegate* unmanaged<nint, int, nint, int, int, nint, int> _send;
    private readonly delegate* unmanaged<nint, int, nint, int, int, nint, nint, int> _receive;

    /// <param name="library">The library of the job.</param>
    /// <param name="rank">This process's rank in the world.</param>
    /// <param name="size">Ranks of the world.</param>
    public MpiCollectives(MpiLibrary library, int rank, int size)
    {
        (Rank, Size, _library) = (rank, size, NativeLibrary.Load(library.File));
        (_world, _statusIgnore) = (library.Abi.World, library.Abi.StatusIgnore);
        var isOpenMpi = library.Abi is OpenMpiAbi;
        (_inPlace, _float, _double, _sum, _max) = isOpenMpi
            ? (1, Find("ompi_mpi_float"), Find("ompi_mpi_double"), Find("ompi_mpi_op_sum"), Find("ompi_mpi_op_max"))
            : (-1, MpichFloat, MpichDouble, MpichSum, MpichMax);
        _barrier = (delegate* unmanaged<nint, int>)Find("MPI_Barrier");
        _allReduce = (delegate* unmanaged<nint, nint, int, nint, nint, nint, int>)Find("MPI_Allreduce");
        _allGather = (delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int>)Find("MPI_Allgather");
        _allToAll = (delegate* unmanaged<nint, int, nint, nint, int, nint, nint, int>)Find("MPI_Alltoall");
        _reduceScatter = (delegate* unmanaged<nint, nint, int, nint, nint, nint, int>)Find("MPI_Reduce_scatter_block");
        _send = (delegate* unmanaged<nint, int, nint, int, int, nint, int>)Find("MPI_Send");
        _receive = (delegate* unmanaged<nint, int, nint, int, int, nint, nint, int>)Find("MPI_Recv");
    }

    public int Rank { get; }

    public int Size { get; }

    public void Barrier() => _barrier(_world);

    public void TakeLargest(Span<double> values)
    {
        fixed (double* address = values)
            _allReduce(_inPlace, (nint)address, values.Length, _double, _max, _world);
    }

    public void AllReduce(Tensor tensor) => _allReduce(_inPlace, Address(tensor), Count(tensor), _float, _sum, _world);

    public void AllGather(Tensor output, Tensor input) =>
        _allGather(Address(input), Count(input), _float, Address(output), Count(input), _float, _world);

    public void ReduceScatter(Tensor output, Tensor input) =>
        _reduceScatter(Address(input), Address(output), Count(output), _float, _sum, _world);

    public void AllToAll(Tensor output, Tensor input) =>
        _allToAll(Address(input), Count(input) / Size, _float, Address(output), Count(input) / Size, _float, _world);

    public void Send(Tensor tensor, int destination) => _send(Address(tensor), Count(tensor), _float, destination, 0, _world);

    public void Receive(Tensor tensor, int source) => _receive(Address(tensor), Count(tensor), _float, source, 0, _world, _statusIgnore);

    private nint Find(string name) => NativeLibrary.GetExport(_library, name);

    private static nint Address(Tensor tensor) => TensorMemory.DataPointer(tensor);

    private static int Count(Tensor tensor) => checked((int)tensor.numel());
}
