using System.Globalization;
using System.Text.RegularExpressions;

namespace ShardSharp.Topology;

/// <summary>What Slurm's variables mean: <see href="https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES"/>.</summary>
internal static partial class SlurmStep
{
    // Above this, step identifiers stand for batch scripts, interactive shells and the like (slurm.h, SLURM_MAX_NORMAL_STEP_ID).
    private const long HighestStepOfSrun = 0xfffffff0;

    /// <summary>Whether srun started the process as a task; in the shell of sbatch or salloc, and in one started with
    /// <c>srun --pty</c>, variables of the allocation are set though the process is no rank.</summary>
    public static bool IsRank(LauncherVariables variables)
    {
        if (!long.TryParse(variables.Text("SLURM_STEP_ID"), NumberStyles.None, CultureInfo.InvariantCulture, out var step))
            return false;
        var shell = variables.Has("SLURM_PTY_PORT") && variables.Text("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS") == "1";
        return step <= HighestStepOfSrun && !shell;
    }

    /// <summary>The number of tasks on this node. Nodes may differ, which only the list of the step tells.</summary>
    public static int LocalSize(LauncherVariables variables)
    {
        const string list = "SLURM_STEP_TASKS_PER_NODE";
        if (!variables.Has(list))
            return variables.Number("SLURM_NTASKS_PER_NODE");

        var tasks = TasksPerNode(variables.Text(list)!)
            ?? throw variables.Wrong(list, "a list such as '2(x3),1': two tasks on each of three nodes, then one");
        var node = variables.Number("SLURM_NODEID");
        var all = variables.Number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS");
        if (node >= tasks.Count)
            throw variables.Wrong("SLURM_NODEID", $"below {tasks.Count}, the number of nodes in {list}={variables.Text(list)}");
        return tasks.Sum() == all
            ? tasks[node]
            : throw variables.Wrong(list, $"a list of {all} tasks, the number in SLURM_STEP_NUM_TASKS or SLURM_NTASKS");
    }

    /// <summary>Expands <c>2(x3),1</c> to 2, 2, 2, 1; null when the text is no such list.</summary>
    public static IReadOnlyList<int>? TasksPerNode(string text)
    {
        var tasks = new List<int>();
        foreach (var entry in text.Split(','))
        {
            var match = Entry().Match(entry);
            if (!match.Success)
                return null;
            var nodes = match.Groups["nodes"].Success ? Parse(match.Groups["nodes"]) : 1;
            tasks.AddRange(Enumerable.Repeat(Parse(match.Groups["tasks"]), nodes));
        }

        return tasks;
    }

    private static int Parse(Group digits) => int.Parse(digits.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(?<tasks>[0-9]{1,6})(\(x(?<nodes>[0-9]{1,6})\))?$", RegexOptions.ExplicitCapture)]
    private static partial Regex Entry();
}
