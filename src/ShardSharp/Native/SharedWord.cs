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

    /// <summary>Wakes everyone who sleeps on the word.</summary>
    public static void WakeAll(int* word)
    {
        if (OperatingSystem.IsLinux())
            Futex.WakeAll(word);
    }
}
