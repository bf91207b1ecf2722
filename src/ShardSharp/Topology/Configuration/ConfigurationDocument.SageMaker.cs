using System.Text.Json;

namespace ShardSharp.Topology;

// The shapes of the SageMaker Python SDK: what an estimator takes as its distribution argument, and the hyperparameters it makes of it.
internal sealed partial class ConfigurationDocument
{
    private const string ModelParallelPath = "smdistributed.modelparallel";

    /// <summary><c>{"smdistributed": {"modelparallel": {"enabled": true, "parameters": {...}}}, "mpi": {...}}</c>.</summary>
    private void ReadEstimator(JsonElement root)
    {
        foreach (var property in Properties(root, string.Empty))
            switch (property.Name)
            {
                case "smdistributed":
                    ReadSmdistributed(property.Value);
                    break;
                case "mpi":
                    ReadMpi(property.Value);
                    break;
                case "torch_distributed" or "$schema":
                    break;
                default:
                    ReportMisplaced(property, $"{ModelParallelPath}.parameters");
                    break;
            }
    }

    private void ReadSmdistributed(JsonElement smdistributed)
    {
        foreach (var property in Properties(smdistributed, "smdistributed"))
            if (property.Name == "modelparallel")
                ReadModelParallel(property.Value);
            else if (property.Name != "dataparallel" || IsEnabled(property.Value, "smdistributed.dataparallel"))
                Report($"smdistributed.{property.Name}", property.Value, "is not supported; smdistributed takes modelparallel alone");
    }

    private void ReadModelParallel(JsonElement modelParallel)
    {
        var isEnabled = IsEnabled(modelParallel, ModelParallelPath);
        foreach (var property in Properties(modelParallel, ModelParallelPath))
            if (property.Name == "parameters")
            {
                if (isEnabled)
                    ReadParametersOrPath(property.Value);
            }
            else if (property.Name != "enabled")
                ReportMisplaced(property, $"{ModelParallelPath}.parameters");
    }

    // The SDK also takes the path of a file; relative to the file that names it.
    private void ReadParametersOrPath(JsonElement parameters)
    {
        if (parameters.ValueKind != JsonValueKind.String || Source.Kind != ConfigurationSourceKind.File)
        {
            ReadParameters(parameters);
            return;
        }

        var path = Path.Combine(Path.GetDirectoryName(Source.Name) ?? string.Empty, parameters.GetString()!);
        ConfigurationEntry whole = new($"{ModelParallelPath}.parameters", RawValue.FromJson(parameters, _isSpelled), Source);
        if (Path.GetFullPath(path) == Path.GetFullPath(Source.Name))
            _violations.Add(whole.Violates("names the file it stands in"));
        else
            _entries.AddRange(ReadFile(path, whole, _violations));
    }

    // mpirun's own options (custom_mpi_options) concern whoever runs mpirun; how many processes it starts is how many ranks there are.
    private void ReadMpi(JsonElement mpi)
    {
        var isEnabled = IsEnabled(mpi, "mpi");
        foreach (var property in Properties(mpi, "mpi"))
            if (property.Name == "processes_per_host")
            {
                if (isEnabled)
                    AddRanks(property, "mpi.processes_per_host", _isSpelled);
            }
            else if (property.Name is not ("enabled" or "custom_mpi_options"))
                Report($"mpi.{property.Name}", property.Value, "is not a key of mpi");
    }

    /// <summary><c>{"mp_parameters": {...}, "sagemaker_mpi_num_of_processes_per_host": 8, ...}</c>; the rest is the program's.</summary>
    private void ReadHyperparameters(JsonElement root)
    {
        foreach (var property in Properties(root, string.Empty))
            if (property.Name == "mp_parameters")
            {
                // A hyperparameter is a string that holds JSON.
                if (property.Value.ValueKind == JsonValueKind.String)
                    ReadText(property.Value.GetString()!, parameters => ReadParameters(parameters, isSpelled: true));
                else
                    ReadParameters(property.Value, isSpelled: true);
            }
            else if (property.Name == "sagemaker_mpi_num_of_processes_per_host")
                AddRanks(property, property.Name, isSpelled: true);
            else if (ConfigurationKeys.Find(property.Name) is not null)
                ReportMisplaced(property, "mp_parameters");
    }

    private void AddRanks(JsonProperty property, string path, bool isSpelled)
    {
        var source = Source with { Name = $"{Source.Name}, {path}" };
        _entries.Add(new ConfigurationEntry("ranks", RawValue.FromJson(property.Value, isSpelled), source));
    }

    // The SDK switches a section off that does not say "enabled"; here its parameters would then be dropped without a word.
    private bool IsEnabled(JsonElement element, string path)
    {
        if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty("enabled", out var enabled))
            return true;
        if (enabled.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            Report($"{path}.enabled", enabled, "must be true or false");
        return enabled.ValueKind == JsonValueKind.True;
    }

    private void ReportMisplaced(JsonProperty property, string place)
    {
        var isKey = ConfigurationKeys.Find(property.Name) is not null;
        Report(property.Name, property.Value, isKey ? $"belongs into {place}" : $"is not a key beside {place}");
    }
}
