namespace ShardSharp.Topology;

public sealed partial record ParallelConfiguration
{
    /// <summary>
    /// The configuration of a program: its defaults, overridden in turn by <paramref name="code"/>, the JSON file that <c>--config</c> or
    /// <c>SHARDSHARP_CONFIG</c> names, SageMaker's <c>SM_HP_MP_PARAMETERS</c>, environment variables <c>SHARDSHARP_</c> + key in upper
    /// case, and the options <c>--ranks N</c>, <c>--backend NAME</c> and <c>--set key=value</c>.
    /// </summary>
    /// <param name="arguments">The program's arguments. An argument <c>--</c> ends those read here.</param>
    /// <param name="environment">Environment variables; only those named above are read.</param>
    /// <param name="code">What the program itself asks for; null for the defaults.</param>
    /// <param name="worldSize">How many ranks another launcher started; null when <see cref="Ranks"/> says how many to start.</param>
    /// <returns>The configuration, where each of its values came from, and the arguments that are the program's own.</returns>
    /// <exception cref="ConfigurationException">Something in it does not work; the exception lists everything that does not.</exception>
    public static LoadedConfiguration Load(
        IReadOnlyList<string> arguments,
        IReadOnlyDictionary<string, string> environment,
        ParallelConfiguration? code = null,
        int? worldSize = null) => ConfigurationLoader.Released.Load(arguments, environment, code, worldSize);

    /// <summary>The configuration a JSON document describes, in any of the shapes a configuration file may have.</summary>
    /// <param name="json">The JSON document; comments and trailing commas are allowed.</param>
    /// <returns>The configuration.</returns>
    /// <exception cref="ConfigurationException">Something in it does not work; the exception lists everything that does not.</exception>
    public static ParallelConfiguration FromJson(string json) => ConfigurationLoader.Released.Parse(json).Configuration;

    /// <summary>
    /// The configuration as a JSON file: every key, in the order of the documentation. <see cref="FromJson"/> reads it back.
    /// </summary>
    /// <returns>The JSON text, one key a line.</returns>
    public string ToJson() =>
        $"{{\n{string.Join(",\n", ConfigurationKeys.All.Select(key => $"  \"{key.Name}\": {key.Json(this)}"))}\n}}\n";
}
