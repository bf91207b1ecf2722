using System.ComponentModel;
using System.Runtime.InteropServices;

namespace ShardSharp.Native;

/// <summary>Exchanges the names of two folders in one step: renameat2(2), which .NET does not offer.</summary>
internal static partial class FolderExchange
{
    private const int CurrentFolder = -100; // AT_FDCWD of <fcntl.h>
    private const uint ExchangeFlag = 2; // RENAME_EXCHANGE of <stdio.h>

    /// <exception cref="IOException">A folder is missing, or the file system cannot do it.</exception>
    public static void Exchange(string first, string second)
    {
        if (Rename(CurrentFolder, first, CurrentFolder, second, ExchangeFlag) != 0)
            throw new IOException($"Cannot exchange {first} and {second}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}.");
    }

    [LibraryImport("libc", EntryPoint = "renameat2", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Rename(int firstFolder, string first, int secondFolder, string second, uint flags);
}
