using System.Collections;
using ShardSharp.Cli;

var environment = Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
    .ToDictionary(entry => (string)entry.Key, entry => (string)entry.Value!);
return new CommandLine(Console.Out, Console.Error, environment).Run(args);
