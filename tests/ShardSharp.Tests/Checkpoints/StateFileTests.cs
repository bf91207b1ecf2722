using System.IO.Compression;
using CsCheck;
using ShardSharp.Checkpoints;
using ShardSharp.Tests.DataParallel;
using static TorchSharp.torch;

namespace ShardSharp.Tests.Checkpoints;

/// <summary>
/// State dictionaries in the files of TorchSharp, PyTorch and safetensors. data/pytorch_*.pt were written by PyTorch 2.14: a Sequential of
/// Linear(3, 4), BatchNorm1d(4) and Linear(4, 2) whose parameters count up in sevenths, and three more tensors.
/// </summary>
public sealed class StateFileTests
{
    [Theory]
    [InlineData("pytorch_state.pt")]
    [InlineData("pytorch_nested.pt")]
    public void What_PyTorch_saved_is_read(string name)
    {
        using var scope = NewDisposeScope();
        var state = StateFile.Read(Data(name));

        Assert.Equal(
            ["0.bias", "0.weight", "1.bias", "1.num_batches_tracked", "1.running_mean", "1.running_var", "1.weight", "2.weight", "parameter", "part", "transposed"],
            state.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(Enumerable.Range(0, 12).Select(i => i / 7f), state["0.weight"].flatten().data<float>().ToArray());
        Assert.Equal([4L, 3L], state["0.weight"].shape);
        Assert.Equal(0, state["1.num_batches_tracked"].item<long>());
        Assert.Equal([0f, 3, 1, 4, 2, 5], state["transposed"].to_type(ScalarType.Float32).flatten().data<float>().ToArray());
        Assert.Equal([3, 4, 5], state["part"].data<int>().ToArray());
        Assert.Equal([1.5, -2], state["parameter"].data<double>().ToArray());
    }

    [Fact]
    public void What_TorchSharp_and_safetensors_saved_is_read()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var module = Randoms.Filled(new CheckpointTraining.Net(0));
        module.save(folder["a.dat"]);
        SafetensorsFile.Write(folder["a.safetensors"], module.state_dict());
        foreach (var state in new[] { StateFile.Read(folder["a.dat"]), StateFile.Read(folder["a.safetensors"]) })
        {
            Assert.Equal(module.state_dict().Keys.Order(), state.Keys.Order());
            Assert.All(module.state_dict(), tensor => Assert.True(tensor.Value.eq(state[tensor.Key]).all().item<bool>(), tensor.Key));
        }

        CheckpointTraining.Run("parameters on 3", session =>
        {
            using var training = new CheckpointTraining(session);
            training.Train(1);
            training.Model.LoadStateDict(StateFile.Read(folder["a.dat"]));
            Assert.True(training.Model.StateDict()["_first.weight"].eq(module.state_dict()["_first.weight"]).all().item<bool>());
        });
    }

    [Fact]
    public void A_pickle_that_asks_for_more_than_tensors_is_refused()
    {
        using var folder = new TemporaryFolder();
        using (var archive = ZipFile.Open(folder["evil.pt"], ZipArchiveMode.Create))
        using (var pickle = archive.CreateEntry("evil/data.pkl").Open())
            pickle.Write([0x80, 2, .. "cos\nsystem\nX\u0007\0\0\0echo hi"u8, 0x85, .. "R."u8]);
        Assert.Contains("asks for os.system", Assert.Throws<CheckpointException>(() => StateFile.Read(folder["evil.pt"])).Message, StringComparison.Ordinal);
    }

    /// <summary>Mutated files are read as something or refused; nothing else ever happens.</summary>
    [Fact]
    public void Damaged_files_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var module = nn.Linear(2, 2);
        module.save(folder["a.dat"]);
        byte[] plain = File.ReadAllBytes(folder["a.dat"]), pickle;
        using (var archive = ZipFile.OpenRead(Data("pytorch_state.pt")))
        using (var stream = archive.Entries.First(entry => entry.Name == "data.pkl").Open())
        using (var memory = new MemoryStream())
        {
            stream.CopyTo(memory);
            pickle = memory.ToArray();
        }

        Gen.Select(Gen.Int[0, pickle.Length - 1], Gen.Byte.Array[1, 3]).Sample(
            (place, bytes) => Refused(() => new Unpickler("x", [.. pickle[..place], .. bytes, .. pickle[(place + 1)..]]).Read()), iter: 2000);
        Gen.Select(Gen.Int[0, plain.Length - 1], Gen.Byte.Array[0, 3]).Sample(
            (place, bytes) =>
            {
                using var scope = NewDisposeScope();
                var file = folder[Guid.NewGuid().ToString("N")];
                File.WriteAllBytes(file, [.. plain[..place], .. bytes, .. plain[(place + 1)..]]);
                Refused(() => TorchSharpFile.Read(file));
            },
            iter: 300);
    }

    private static void Refused(Func<object?> read)
    {
        try
        {
            read();
        }
        catch (CheckpointException)
        {
        }
    }

    private static string Data(string name) => Path.Combine(AppContext.BaseDirectory, "data", name);
}
