using CsCheck;
using ShardSharp.Topology;

namespace ShardSharp.Tests.Topology.Configuration;

public sealed class ConfigurationPropertyTests
{
    private static readonly Gen<string> Value = Gen.OneOf(
        Gen.Int[-2, 12].Select(number => $"{number}"),
        Gen.Int[-2, 12].Select(number => $"{number}"),
        Gen.Double[-1, 3].Select(number => number.ToString("R")),
        OneOf(
            "true", "false", "true", "false", "null", "1e9", "2000000000", "1e300", "\"\"", "\"none\"", "\"simple\"", "\"speed\"",
            "\"threads\"", "\"mpi\"", "\"nccl\"", "\"spread\"", "\"PTD\"", "[]", "{}"));

    private static readonly Gen<string> Name = Gen.Frequency(
        (8, OneOf(ConfigurationKeys.Names.ToArray())),
        (1, OneOf(ForeignKey.All.Select(key => key.Name).ToArray())),
        (1, OneOf("microbatchs", "tensor_parallel_degre", "Ranks", "shard_optimizer", "bff16", "epochs")));

    private static readonly Gen<string> Json = Gen.Select(Name, Value).List[0, 12].Select(pairs =>
        $"{{{string.Join(", ", pairs.DistinctBy(pair => pair.Item1).Select(pair => $"\"{pair.Item1}\": {pair.Item2}"))}}}");

    private static readonly Gen<int?> WorldSize = Gen.Int[0, 16].Select(ranks => ranks == 0 ? (int?)null : ranks);

    [Fact]
    public void Following_every_suggestion_makes_any_configuration_valid() =>
        Gen.Select(Json, WorldSize).Sample((json, worldSize) => Valid(Loading.Everything, json, worldSize) is not null, iter: 2_000);

    [Fact]
    public void Following_every_suggestion_asks_only_for_what_has_landed() =>
        Gen.Select(Json, WorldSize)
            .Sample((json, worldSize) => Valid(ConfigurationLoader.Released, json, worldSize) is not null, iter: 2_000);

    [Fact]
    public void A_configuration_reads_back_from_its_JSON() =>
        Gen.Select(Json, WorldSize).Sample(
            (json, worldSize) =>
            {
                var configuration = Valid(Loading.Everything, json, worldSize);
                return Loading.Everything.Parse(configuration.ToJson(), worldSize).Configuration == configuration;
            },
            iter: 2_000);

    private static Gen<string> OneOf(params string[] texts) => Gen.Int[0, texts.Length - 1].Select(index => texts[index]);

    private static ParallelConfiguration Valid(ConfigurationLoader loader, string json, int? worldSize)
    {
        try
        {
            return loader.Parse(json, worldSize).Configuration;
        }
        catch (ConfigurationException exception)
        {
            return loader.Parse(Loading.Follow(json, exception.Violations), worldSize).Configuration;
        }
    }
}
