using TrainGpt;

namespace ShardSharp.Tests.Samples;

public sealed class TrainingOptionsTests
{
    [Fact]
    public void Learning_rate_rises_over_the_warm_up_and_falls_to_a_tenth()
    {
        var options = new TrainingOptions { Steps = 110, Warmup = 10 };
        Assert.Equal(0.1, options.LearningRateFactor(0), 1e-12);
        Assert.Equal(1, options.LearningRateFactor(9), 1e-12);
        Assert.Equal(1, options.LearningRateFactor(10), 1e-12);
        Assert.Equal(0.55, options.LearningRateFactor(60), 1e-12);
        Assert.Equal(0.1, options.LearningRateFactor(110), 1e-12);
    }
}
