using System.CommandLine;
using ShardSharp.Benchmarks;
using ShardSharp.Launching;

var root = new RootCommand("Measures ShardSharp. Every command prints one JSON object per line.")
{
    CollectivesCommand.Create(),
    MpiPeerCommand.Create(),
    TrainCommand.Create(),
    OptimizerCommand.Create(),
    PartitionCommand.Create(),
    FiguresCommand.Create(),
    CallCostCommand.Create(),
    ConstructCommand.Create(),
    CheckpointCommand.Create(),
    ActivationsCommand.Create(),
    LimitCommand.Create(),
    LimitedRun.Create(),
    SchedulesCommand.Create(),
};
foreach (var command in OffloadCommand.Create())
    root.Add(command);
var arguments = root.Parse(args);
var code = arguments.Invoke();
return arguments.Errors.Count > 0 ? ExitCodes.BadConfiguration : code;
