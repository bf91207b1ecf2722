using System.Runtime.InteropServices;
using ShardSharp.Diagnostics;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Diagnostics;

[Collection(nameof(WholeProcess))]
public sealed class MemoryReportTests
{
    private const int Width = 256;
    private const int Layers = 4;
    private const long Parameters = Layers * (Width + 1) * Width * sizeof(float);

    public MemoryReportTests() => Assert.SkipUnless(
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture == Architecture.X64, "It measures on Linux x64.");

    [Fact]
    public void Every_category_is_predicted_and_measured_on_one_rank()
    {
        var report = Train(ranks: 1, new ParallelConfiguration(), parameters => optim.AdamW(parameters))[0];
        Assert.Equal(new MemoryFigure(Parameters, Parameters), report.Parameters);
        Assert.Equal(new MemoryFigure(Parameters, Parameters), report.Gradients);
        Assert.Equal(new MemoryFigure(2 * Parameters, 2 * Parameters), report.OptimizerState);
        Assert.Equal(0, report.CommunicationBuffers.Predicted);

        // Forward keeps the input of every layer and of every GELU; at its end it holds an output as well.
        const long Activation = 4 * Width * Width * sizeof(float);
        Assert.Null(report.Activations.Predicted);
        Assert.InRange(report.Activations.Measured!.Value, 2 * Layers * Activation, (2 * Layers + 4) * Activation);
        Assert.True(report.ProportionalSet > 4 * Parameters);
    }

    [Theory]
    [InlineData(RankBackend.Threads, 2)]
    [InlineData(RankBackend.SharedMemory, 4)]
    public void A_rank_has_its_share_of_what_is_sharded(RankBackend backend, int degree)
    {
        var reports = Train(
            ranks: 4, new ParallelConfiguration { ShardedDataParallelDegree = degree }, parameters => optim.AdamW(parameters),
            new RankHarnessOptions { Backend = backend });
        Assert.All(reports, report =>
        {
            Close(Parameters / degree, report.Parameters);
            Close(Parameters / degree, report.Gradients);
            Close(2 * Parameters / degree, report.OptimizerState);
            Assert.True(report.CommunicationBuffers.Predicted > 0);
        });

        // Slices begin at multiples of 64 bytes.
        static void Close(long expected, MemoryFigure figure)
        {
            Assert.InRange(figure.Predicted!.Value, expected, expected);
            Assert.InRange(figure.Measured!.Value, expected * 0.98, expected * 1.02);
        }
    }

    [Theory]
    [InlineData("parameters", 0, 2)]
    [InlineData("parameters", 1_000_000, 1)]
    [InlineData("gradients", 0, 1)]
    public void Ranks_that_share_no_memory_hold_whole_what_they_do_not_release(string level, int threshold, int shards)
    {
        var configuration = new ParallelConfiguration
        {
            ShardedDataParallelDegree = 2,
            ShardingLevel = level == "parameters" ? ShardingLevel.Parameters : ShardingLevel.Gradients,
            ShardedPersistenceThreshold = threshold,
        };
        var reports = Train(ranks: 2, configuration, parameters => optim.AdamW(parameters), new RankHarnessOptions { SeparateHosts = true });
        Assert.All(reports, report =>
        {
            Assert.Equal(Parameters / shards, report.Parameters.Predicted);
            Assert.InRange(report.Parameters.Measured!.Value, Parameters / shards, Parameters / shards * 1.02);
        });
    }

    [Fact]
    public void A_line_follows_each_step_if_it_is_asked_for()
    {
        var (console, output) = (Console.Out, new StringWriter());
        Console.SetOut(output);
        try
        {
            Train(ranks: 2, new ParallelConfiguration { MemoryReport = true }, parameters => optim.AdamW(parameters));
        }
        finally
        {
            Console.SetOut(console);
        }

        var lines = output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.All(lines, line => Assert.StartsWith("memory of rank 0 in MiB: parameters 1.0, gradients 1.0, optimizer state 2.0,", line, StringComparison.Ordinal));
    }

    public static TheoryData<string, int?> Kinds => new()
    {
        { "SGD", 0 }, { "SGD with momentum", 1 }, { "Adam with amsgrad", 3 }, { "Adagrad", 1 }, { "Adadelta", 2 }, { "Adamax", 2 },
        { "NAdam", 2 }, { "RAdam", 2 }, { "Rprop", 2 }, { "ASGD", 1 }, { "RMSProp", null },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_state_of_every_kind_of_optimizer_is_predicted_where_it_is_known(string kind, int? tensors)
    {
        var report = Train(ranks: 1, new ParallelConfiguration(), parameters => Create(kind, parameters))[0];
        Assert.Equal(tensors * Parameters, report.OptimizerState.Predicted);
        if (tensors is not null)
            Assert.Equal(report.OptimizerState.Predicted, report.OptimizerState.Measured);
        Assert.NotNull(report.OptimizerState.Measured);
    }

    [Fact]
    public void Gradients_and_disposed_models_are_gone_from_it() => RankHarness.RunSessions(
        1,
        session =>
        {
            using (var model = session.DistributedModel(Create))
            using (var optimizer = session.DistributedOptimizer(model, parameters => optim.AdamW(parameters)))
            {
                Step(model);
                optimizer.zero_grad();
                var report = session.MemoryReport();
                Assert.Equal(new MemoryFigure(Parameters, 0), report.Gradients);
            }

            var after = session.MemoryReport();
            Assert.Equal(new MemoryFigure(0, 0), after.Parameters);
            Assert.Equal(new MemoryFigure(0, 0), after.OptimizerState);
            Assert.Equal(new MemoryFigure(null, null), after.Activations);
        });

    [Fact]
    public void It_reads_as_a_table_and_as_a_line()
    {
        var report = new MemoryReport
        {
            Rank = 3,
            Parameters = new(10 << 20, 11 << 20),
            Gradients = new(5 << 19, 0),
            OptimizerState = new(null, null),
            Activations = new(null, 1 << 30),
            CommunicationBuffers = new(2 << 20, null),
            ProportionalSet = 1 << 21,
            FreeHeap = 0,
        };
        Assert.Equal(
            """
            memory of rank 3 in MiB        predicted    measured
            parameters                          10.0        11.0
            gradients                            2.5         0.0
            optimizer state                        -           -
            activations                            -      1024.0
            communication buffers                2.0           -
            process                                -         2.0
            - of it free heap                      -         0.0
            """,
            report.ToString());
        Assert.Equal(
            "memory of rank 3 in MiB: parameters 11.0, gradients 0.0, optimizer state -, activations 1024.0, communication buffers -, "
            + "process 2.0, of it free heap 0.0",
            report.ToLine());
    }

    private static MemoryReport[] Train(
        int ranks, ParallelConfiguration configuration, Func<IEnumerable<Parameter>, optim.Optimizer> optimizer,
        RankHarnessOptions? options = null)
    {
        var reports = new MemoryReport[ranks];
        RankHarness.RunSessions(
            ranks,
            session =>
            {
                using var model = session.DistributedModel(Create);
                using var updates = session.DistributedOptimizer(model, optimizer);
                for (var i = 0; i < 2; i++)
                {
                    updates.zero_grad();
                    Step(model);
                    updates.step();
                }

                reports[session.Rank] = session.MemoryReport();
            },
            configuration,
            options);
        return reports;
    }

    private static void Step(DistributedModel<Sequential> model)
    {
        using var scope = NewDisposeScope();
        model.Step(ones(4 * Width, Width), zeros(4 * Width, Width), (output, target) => nn.functional.mse_loss(output, target));
    }

    private static Sequential Create() => nn.Sequential(
        Enumerable.Range(0, Layers).SelectMany(i => new nn.Module<Tensor, Tensor>[] { nn.Linear(Width, Width), nn.GELU() }));

    private static optim.Optimizer Create(string kind, IEnumerable<Parameter> parameters) => kind switch
    {
        "SGD" => optim.SGD(parameters, 0.1),
        "SGD with momentum" => optim.SGD(parameters, 0.1, momentum: 0.9),
        "Adam with amsgrad" => optim.Adam(parameters, amsgrad: true),
        "Adagrad" => optim.Adagrad(parameters),
        "Adadelta" => optim.Adadelta(parameters),
        "Adamax" => optim.Adamax(parameters),
        "NAdam" => optim.NAdam(parameters),
        "RAdam" => optim.RAdam(parameters),
        "Rprop" => optim.Rprop(parameters),
        "ASGD" => optim.ASGD(parameters),
        _ => optim.RMSProp(parameters),
    };
}
