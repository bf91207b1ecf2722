using System.Globalization;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using ShardSharp.Native;

namespace ShardSharp.Communication.Local;

/// <summary>Memory that processes share: an anonymous file that has no name anywhere and vanishes with its last user.</summary>
internal sealed unsafe class SharedMemoryRegion : MemoryRegion
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly SafeFileHandle _handle;

    private SharedMemoryRegion(SafeFileHandle handle, long length)
    {
        _handle = handle;
        _file = MemoryMappedFile.CreateFromFile(
            handle, mapName: null, length, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor(0, length);
        byte* address = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref address);
        Address = address;
    }

    public override byte* Address { get; }

    /// <summary>Where another process of the same user opens this region; valid until <see cref="CloseHandle"/>.</summary>
    public string Path => $"/proc/{Environment.ProcessId}/fd/{_handle.DangerousGetHandle()}";

    /// <summary>Creates memory for others to open.</summary>
    /// <exception cref="IOException">The system has no room for it.</exception>
    public static SharedMemoryRegion Create(string name, long length)
    {
        var handle = AnonymousFile.Create(name);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(handle, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        RandomAccess.SetLength(handle, length);
        return new SharedMemoryRegion(handle, length);
    }

    /// <summary>Opens another rank's region.</summary>
    /// <exception cref="IOException">There is no such region: nothing else is opened, let alone written to, whatever the path says.</exception>
    public static SharedMemoryRegion Open(string path, long length)
    {
        if (!IsAnonymousFile(path))
            throw new IOException($"'{path}' is no memory of a process.");
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        if (RandomAccess.GetLength(handle) != length)
        {
            var found = RandomAccess.GetLength(handle);
            handle.Dispose();
            throw new IOException($"The memory {path} has {found} bytes instead of {length}.");
        }

        var region = new SharedMemoryRegion(handle, length);
        region.CloseHandle();
        return region;
    }

    /// <summary>Keeps the memory and gives the file back, once everyone has opened it.</summary>
    public void CloseHandle() => _handle.Dispose();

    public override void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        _handle.Dispose();
    }

    /// <summary>Whether a path is like that of <see cref="Path"/>, and what it leads to was made by memfd_create(2).</summary>
    private static bool IsAnonymousFile(string path)
    {
        return path.Split('/') is ["", "proc", var process, "fd", var descriptor] && IsNumber(process) && IsNumber(descriptor)
            && File.ResolveLinkTarget(path, returnFinalTarget: false)?.FullName.StartsWith("/memfd:", StringComparison.Ordinal) == true;

        static bool IsNumber(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _);
    }
}
