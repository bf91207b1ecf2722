using ShardSharp.Launching;

namespace ShardSharp.Tests.Launching;

public sealed class ProgramCommandTests
{
    [Fact]
    public void Starts_an_application_host_by_itself() =>
        AssertAgain("/app/train", ["./train", "a b", ""], ["/app/train.dll", "a b", ""], "/app/train", "a b", "");

    [Fact]
    public void Gives_dotnet_the_dll_by_its_full_path() =>
        AssertAgain("/usr/bin/dotnet", ["dotnet", "train.dll", "x"], ["/app/train.dll", "x"], "/usr/bin/dotnet", "/app/train.dll", "x");

    [Fact]
    public void Keeps_the_options_of_dotnet() =>
        AssertAgain(
            "/usr/bin/dotnet",
            ["dotnet", "exec", "--roll-forward", "Major", "train.dll", "x"],
            ["/app/train.dll", "x"],
            "/usr/bin/dotnet", "exec", "--roll-forward", "Major", "/app/train.dll", "x");

    [Fact]
    public void Knows_dotnet_by_name_where_the_system_tells_no_command_line()
    {
        AssertAgain(@"C:\app\train.exe", null, [@"C:\app\train.dll", "x"], @"C:\app\train.exe", "x");
        AssertAgain("/usr/bin/dotnet", null, ["/app/train.dll", "x"], "/usr/bin/dotnet", "/app/train.dll", "x");
    }

    private static void AssertAgain(string processPath, string[]? commandLine, string[] managedArguments, params string[] expected)
    {
        var command = ProgramCommand.Again(processPath, commandLine, managedArguments);
        Assert.Equal<string[]>(expected, [command.FileName, .. command.Arguments]);
    }
}
