namespace ShardSharp.Native;

/// <summary>Sleeping on a word of memory that another thread or process changes: the kernel's help where there is any.</summary>
internal static unsafe class SharedWord
{
    /// <summary>Sleeps while the word holds <paramref name="expected"/>, at most for <paramref name="atMost"/>; may return early.</summary>
    public static void WaitWhile(int* word, int expected, TimeSpan atMost)
    {
        if (OperatingSystem.IsLinux())
        {
            Futex.WaitWhile(word, expected, atMost);
            return;
        }

        // Elsewhere ranks are threads of one process, used for debugging: yielding with rising pauses is good enough.
        SpinWait.SpinUntil(() => Volatile.Read(ref *word) != expected, atMost);
    }

    /// <summary>Sleeps for a time that may be far less than a millisecond.</summary>
    public static void Nap(TimeSpan time)
    {
        var nobodyWrites = 0;
        WaitWhile(&nobodyWrites, 0, time);
    }

    /// <summary>Wakes everyone who sleeps on the word.</summary>
    public static void WakeAll(int* word)
    {
        if (OperatingSystem.IsLinux())
            Futex.WakeAll(word);
    }
}
