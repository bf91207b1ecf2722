using System.CommandLine;
using ShardSharp.Checkpoints;
using ShardSharp.Launching;

namespace ShardSharp.Cli;

/// <summary><c>shardsharp checkpoint</c>: looks at checkpoints, checks them, and writes them in other forms.</summary>
internal static class CheckpointCommand
{
    private static readonly Dictionary<string, string> Types = new()
    {
        ["float32"] = "F32",
        ["float16"] = "F16",
        ["bfloat16"] = "BF16",
    };

    public static Command Create(CommandLine commandLine) =>
        new("checkpoint", "Looks at checkpoints, checks them, and writes them in other forms.")
        {
            Inspect(commandLine), Verify(commandLine), Convert(commandLine), Export(commandLine),
        };

    private static Command Inspect(CommandLine commandLine)
    {
        var folder = Source();
        var tensors = new Option<bool>("--parts") { Description = "Shows where the parts of each tensor lie." };
        var command = new Command("inspect", "Shows what a checkpoint has.") { folder, tensors };
        command.SetAction(parsed => With(commandLine, parsed.GetValue(folder)!, reader =>
        {
            CheckpointText.Write(commandLine.Output, reader, parsed.GetValue(tensors));
            return ExitCodes.Success;
        }));
        return command;
    }

    private static Command Verify(CommandLine commandLine)
    {
        var folder = Source();
        var command = new Command("verify", "Reads everything and compares it with the checksums.") { folder };
        command.SetAction(parsed => With(commandLine, parsed.GetValue(folder)!, reader =>
        {
            var problems = 0;
            foreach (var problem in reader.Verify())
            {
                commandLine.Error.WriteLine(problem);
                problems++;
            }

            var parts = reader.Index.Tensors.Sum(tensor => tensor.Parts.Count);
            commandLine.Output.WriteLine(problems == 0
                ? $"{reader.Index.Tensors.Count} tensors in {parts} parts: nothing is damaged."
                : $"{problems} of {parts} parts are damaged.");
            return problems == 0 ? ExitCodes.Success : ExitCodes.WorkFailed;
        }));
        return command;
    }

    private static Command Convert(CommandLine commandLine)
    {
        var (folder, target) = (Source(), Target());
        var command = new Command("convert", "Writes a checkpoint anew, each tensor whole. Training resumes from it as from the old one.") { folder, target };
        command.SetAction(parsed => With(commandLine, parsed.GetValue(folder)!, reader =>
        {
            AtomicFolder.Write(parsed.GetValue(target)!, written => CheckpointConversion.Write(reader, written));
            return ExitCodes.Success;
        }));
        return command;
    }

    private static Command Export(CommandLine commandLine)
    {
        var (folder, target) = (Source(), Target());
        var type = new Option<string?>("--type") { Description = "Type of the weights. Default: as they are." };
        type.AcceptOnlyFromAmong([.. Types.Keys]);
        var model = new Option<int>("--model") { Description = "Which model of the session, from 0. Default: 0." };
        var command = new Command("export", "Writes the weights as model.safetensors, or several files with an index, as transformers reads them.")
        {
            folder, target, type, model,
        };
        command.SetAction(parsed => With(commandLine, parsed.GetValue(folder)!, reader =>
        {
            var number = parsed.GetValue(model);
            var prefix = number == 0 ? CheckpointSave.ModelPrefix : $"model.{number}/";
            if (!reader.Index.Tensors.Any(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)))
                throw new CheckpointException(reader.Folder, $"it has no tensor of model {number}.");
            AtomicFolder.Write(
                parsed.GetValue(target)!,
                written => WholeCheckpoint.Write(reader, written, prefix, parsed.GetValue(type) is { } name ? Types[name] : null));
            return ExitCodes.Success;
        }));
        return command;
    }

    private static Argument<string> Source() => new("checkpoint")
    {
        Description = "A checkpoint's folder: one with an index.json (TAG_partial), or whole tensors as transformers writes them.",
    };

    private static Argument<string> Target() => new("folder") { Description = "Where to write; it must not exist, or be empty." };

    private static int With(CommandLine commandLine, string folder, Func<CheckpointReader, int> work)
    {
        try
        {
            using var reader = File.Exists(Path.Combine(folder, CheckpointIndex.FileName))
                ? CheckpointReader.Open(folder)
                : CheckpointReader.OpenWhole(folder, CheckpointSave.ModelPrefix);
            return work(reader);
        }
        catch (Exception wrong) when (wrong is IOException or UnauthorizedAccessException)
        {
            commandLine.Error.WriteLine(wrong.Message);
            return ExitCodes.WorkFailed;
        }
    }
}
