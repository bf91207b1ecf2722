using ShardSharp.Communication;
using ShardSharp.Pipeline.Runtime;
using ShardSharp.Pipeline.Schedules;
using ShardSharp.Testing;
using ShardSharp.Tests.DataParallel;
using ShardSharp.Topology;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Pipeline.Runtime;

public sealed class PipelinedModelTests
{
    public static TheoryData<PipelineScheduleKind> Kinds { get; } = [.. Enum.GetValues<PipelineScheduleKind>().Where(kind => kind != PipelineScheduleKind.ForwardOnly)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Activations_are_freed_as_the_schedule_predicts(PipelineScheduleKind kind)
    {
        var configuration = new ParallelConfiguration { PipelineParallelDegree = 2, Pipeline = kind, Microbatches = 8 };
        var predicted = ScheduleSimulation.Run(StepSchedules.Training(configuration, 8)).PeakActivations;
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(PipelineTrial.Layers.Create);
                var (inputs, labels) = PipelineTrial.Layers.Batch(0);
                model.Step(inputs, labels, PipelineTrial.Layers.Loss);

                Assert.Equal(predicted[session.Rank], model.Pipeline!.PeakSaved);
            },
            configuration);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_rank_keeps_the_parameters_of_its_stages_alone(bool delayed) => RankHarness.RunSessions(
        2,
        session =>
        {
            using var outer = NewDisposeScope();
            using var model = session.DistributedModel(() => Randoms.Filled(PipelineTrial.Layers.Create()));
            var mine = model.NamedParameters.Select(named => named.Name).ToHashSet();

            Assert.All(model.Module.named_parameters(), named => Assert.Equal(mine.Contains(named.name), named.parameter.numel() > 0));
            Assert.Equal(model.Module.named_parameters().Select(named => named.name).Order(), session.Groups.World.AllGatherObject(mine).SelectMany(names => names).Order());
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, DelayedParameterInitialization = delayed });

    /// <summary>Delays in every forward of every part, and so in every action, on top of those in the messages.</summary>
    [Fact]
    public void Random_delays_of_actions_change_nothing()
    {
        var runs = Enumerable.Range(0, 3).Select(seed =>
        {
            var delays = new DelayInjection(seed) { Share = 0.5, Longest = TimeSpan.FromMilliseconds(3) };
            double[] losses = [];
            RankHarness.RunSessions(
                2,
                session =>
                {
                    var trial = PipelineTrial.Layers with { Create = () => Delayed(PipelineTrial.Layers.Create(), () => delays.Delay(session.Rank)) };
                    losses = [.. trial.Train(session).Select(moment => moment.Loss)];
                },
                new ParallelConfiguration { PipelineParallelDegree = 2, Pipeline = PipelineScheduleKind.ZeroBubbleV, Microbatches = 4 },
                new RankHarnessOptions { Delays = new DelayInjection(seed) });
            return losses;
        }).ToArray();

        Assert.All(runs, run => Assert.Equal(runs[0], run));

        static nn.Module<Tensor, Tensor> Delayed(nn.Module<Tensor, Tensor> model, Action delay)
        {
            foreach (var part in model.children().Cast<nn.Module<Tensor, Tensor>>())
            {
                part.register_forward_pre_hook((_, input) =>
                {
                    delay();
                    return input;
                });
            }

            return model;
        }
    }

    [Fact]
    public void Evaluation_gives_every_rank_what_the_whole_model_gives()
    {
        using var alone = Randoms.Filled(PipelineTrial.Layers.Create());
        using var inputs = Randoms.Normal(0, 8, 6);
        using var labels = Randoms.Normal(1, 8, 3);
        using var expected = alone.call(inputs);
        var loss = nn.functional.mse_loss(expected, labels).item<float>();
        RankHarness.RunSessions(
            2,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(() => Randoms.Filled(PipelineTrial.Layers.Create()));
                model.Evaluate();

                Assert.Equal(loss, model.Forward(inputs, labels, PipelineTrial.Layers.Loss).ReduceMean(), 1e-6);
                Assert.True(expected.allclose(model.Forward([inputs], [], (outputs, _) => outputs[0]).Concat(), atol: 1e-6));

                // One sample at a time, as generation does.
                var one = model.Forward([inputs[..1]], [], (outputs, _) => outputs[0].argmax(-1), new StepOptions { Microbatches = 1 });
                Assert.Equal(expected[..1].argmax(-1).item<long>(), one.Concat().item<long>());
                Assert.All(model.Parameters, parameter => Assert.Null(parameter.grad));
            },
            new ParallelConfiguration { PipelineParallelDegree = 2, Pipeline = PipelineScheduleKind.ZeroBubbleV, Microbatches = 4 });
    }

    [Fact]
    public void A_model_knows_whether_it_is_traced() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var outer = NewDisposeScope();
            var calls = new List<bool>();
            using var model = session.DistributedModel(
                () =>
                {
                    var counted = nn.Linear(6, 6);
                    counted.register_forward_pre_hook((_, input) =>
                    {
                        calls.Add(session.IsTracing);
                        return input;
                    });
                    return nn.Sequential(counted, nn.Linear(6, 3));
                },
                example: () => [zeros(2, 6)]);
            Assert.NotEmpty(calls);
            Assert.DoesNotContain(false, calls);

            calls.Clear();
            using (model.Step(zeros(4, 6), zeros(4, 3), PipelineTrial.Layers.Loss))
                Assert.Equal(session.Rank == 0 ? [false, false] : [], calls);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2 });

    [Fact]
    public void A_function_of_the_whole_module_is_refused_with_what_works() => RankHarness.RunSessions(
        2,
        session =>
        {
            using var outer = NewDisposeScope();
            using var model = session.DistributedModel(PipelineTrial.Layers.Create);

            var refused = Assert.Throws<NotSupportedException>(() => model.Step([zeros(2, 6)], (module, batch) => module.call(batch[0]).sum()));
            Assert.Contains("Step(inputs, labels, (outputs, labels) => ...)", refused.Message, StringComparison.Ordinal);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2 });

    [Fact]
    public void A_model_that_has_to_be_run_first_needs_an_example() => RankHarness.RunSessions(
        2,
        session =>
        {
            var refused = Assert.Throws<ArgumentException>(() => session.DistributedModel(() => new Gated()));
            Assert.Contains("example: () => [tokens]", refused.Message, StringComparison.Ordinal);
        },
        new ParallelConfiguration { PipelineParallelDegree = 2 });

    [Fact]
    public void Schedules_from_files_are_run_and_those_that_do_not_fit_are_refused()
    {
        var folder = Directory.CreateTempSubdirectory("shardsharp-schedules").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "own.csv"), "0F1,0F0,0B1,0B0\n1F1,1F0,1I1,1I0,1W1,1W0\n");
            File.WriteAllText(Path.Combine(folder, "forwards.csv"), "0F0,0F1\n1F0,1F1\n");
            var configuration = new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2, PipelineScheduleFile = Path.Combine(folder, "own.csv") };

            PipelineTrial.Layers.MustEqualPlainTraining(2, configuration);
            RankHarness.RunSessions(
                2,
                session =>
                {
                    using var outer = NewDisposeScope();
                    using var model = session.DistributedModel(PipelineTrial.Layers.Create);
                    var refused = Assert.Throws<InvalidOperationException>(() => model.Step(zeros(2, 6), zeros(2, 3), PipelineTrial.Layers.Loss));
                    Assert.Contains("forwards.csv has no backward", refused.Message, StringComparison.Ordinal);
                    Assert.Equal(2, model.Forward(zeros(2, 6), zeros(2, 3), PipelineTrial.Layers.Loss).Outputs.Count);
                    var other = Assert.Throws<ArgumentException>(() =>
                        model.Forward([zeros(4, 6)], [], (outputs, _) => outputs[0], new StepOptions { Microbatches = 4 }));
                    Assert.Contains("2 microbatches; this step has 2 (pipeline_parallel_degree) and 4", other.Message, StringComparison.Ordinal);
                },
                configuration with { PipelineScheduleFile = Path.Combine(folder, "forwards.csv") });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_loss_that_fails_ends_all_ranks_with_its_reason()
    {
        var failures = RankHarness.CaptureSessions(
            2,
            session =>
            {
                using var outer = NewDisposeScope();
                using var model = session.DistributedModel(PipelineTrial.Layers.Create);
                model.Step(zeros(4, 6), zeros(4, 3), (_, _) => throw new InvalidOperationException("There is no loss today."));
            },
            new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 4 });

        Assert.Equal(2, failures.Count);
        Assert.IsType<InvalidOperationException>(failures[0].Failure);
        Assert.Contains("There is no loss today.", Assert.IsType<RankFailedException>(failures[1].Failure).Message, StringComparison.Ordinal);
    }

    /// <summary>Two inputs, one of which later stages get straight from the batch; two tensors between stages; shapes and types that change with the batch.</summary>
    [Theory]
    [InlineData(PipelineScheduleKind.Interleaved)]
    [InlineData(PipelineScheduleKind.ZeroBubbleH1)]
    public void Stages_pass_several_tensors_whose_shapes_and_types_change(PipelineScheduleKind kind)
    {
        var alone = Run(1, new ParallelConfiguration { Microbatches = 2 });
        var cut = Run(2, new ParallelConfiguration { PipelineParallelDegree = 2, Microbatches = 2, Pipeline = kind, MemoryWeight = 1 });

        Assert.Equal(alone.Count, cut.Count);
        Assert.All(alone, pair => Assert.Equal(pair.Value, cut[pair.Key], 1e-5));

        static SortedDictionary<string, double> Run(int ranks, ParallelConfiguration configuration)
        {
            var found = new SortedDictionary<string, double>(StringComparer.Ordinal);
            RankHarness.RunSessions(
                ranks,
                session =>
                {
                    using var outer = NewDisposeScope();
                    using var model = session.DistributedModel(() => Randoms.Filled(new Gated()), example: () => [zeros(2, 3, 4), ones(2, 3, 1)]);
                    for (var step = 0; step < 3; step++)
                    {
                        model.ZeroGradients();
                        var (samples, length) = (4 + (2 * step), 3 + step);
                        using var output = model.Step(
                            [Randoms.Normal(step, samples, length, 4), Mask(step, length)], [Randoms.Normal(20 + step, length, samples, 4)],
                            (outputs, labels) => nn.functional.mse_loss(outputs[0], labels[0].transpose(0, 1)),
                            new StepOptions { WholeTensors = [1], SplitDimensions = new Dictionary<int, int> { [2] = 1 } });
                        lock (found)
                        {
                            found[$"loss {step}"] = output.ReduceMean();
                            foreach (var (name, parameter) in model.NamedParameters)
                                found[$"{name} {step}"] = parameter.grad?.norm().item<float>() ?? -1;
                        }
                    }
                },
                configuration);
            return found;
        }
    }

    /// <summary>Whole numbers in one batch, and others in the next.</summary>
    private static Tensor Mask(int step, long length)
    {
        var mask = Randoms.Normal(10 + step, length, 1);
        return step == 1 ? mask.round().to_type(ScalarType.Int64) : mask;
    }

    private sealed class Gated : nn.Module<Tensor, Tensor, Tensor>
    {
        private readonly Gate _first = new(), _second = new(), _third = new();

        public Gated()
            : base(nameof(Gated)) => RegisterComponents();

        public override Tensor forward(Tensor input, Tensor mask)
        {
            var (hidden, gate) = _first.call((input, input), mask);
            (hidden, gate) = _second.call((hidden, gate), mask);
            return _third.call((hidden, gate), mask).Item1;
        }
    }

    private sealed class Gate : nn.Module<(Tensor, Tensor), Tensor, (Tensor, Tensor)>
    {
        private readonly TorchSharp.Modules.Linear _linear = nn.Linear(4, 4), _gate = nn.Linear(4, 4);

        public Gate()
            : base(nameof(Gate)) => RegisterComponents();

        public override (Tensor, Tensor) forward((Tensor, Tensor) input, Tensor mask) =>
            (_linear.call(input.Item1) * mask, _gate.call(input.Item2).sigmoid() * input.Item1);
    }
}
