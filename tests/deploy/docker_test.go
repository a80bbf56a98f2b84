// The Dockerfile and the Compose files of examples/deploy, read by the parsers that Docker itself uses.

package deploy_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const (
	top    = "../.."
	docker = top + "/examples/deploy/docker/"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dockerfile parses a Dockerfile with Docker's linter switched on.
func dockerfile(t *testing.T, file string) (stages []instructions.Stage, args []instructions.ArgCommand) {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(read(t, file)))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, warning := range parsed.Warnings {
		t.Errorf("%s: %s", file, warning.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, where []parser.Range) {
		t.Errorf("%s: %s: %s at %v", file, rule, message, where)
	}})
	stages, args, err = instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return stages, args
}

func commands[C instructions.Command](stage instructions.Stage) (found []C) {
	for _, command := range stage.Commands {
		if c, ok := command.(C); ok {
			found = append(found, c)
		}
	}
	return found
}

func TestDockerfileLeavesNoRights(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Dockerfile", "Dockerfile.release"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stages, _ := dockerfile(t, docker+name)
			checkImage(t, stages)
			// What runs while an image is made runs on this machine, whatever it is made for.
			if got := stages[0].Platform; got != "$BUILDPLATFORM" {
				t.Errorf("the first stage: got platform %q, want that of the machine that builds", got)
			}
		})
	}
}

// checkImage checks the stage that is left at the end.
func checkImage(t *testing.T, stages []instructions.Stage) {
	t.Helper()
	version := regexp.MustCompile(`^[a-z/.]+:\d+(\.\d+)+$`)
	for _, stage := range stages {
		if !version.MatchString(stage.BaseName) {
			t.Errorf("FROM %s: want a version", stage.BaseName)
		}
	}
	image := stages[len(stages)-1]
	if runs := commands[*instructions.RunCommand](image); len(runs) > 0 {
		t.Errorf("the image runs %v: everything belongs in the build stage", runs)
	}
	users := commands[*instructions.UserCommand](image)
	if len(users) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(users[0].User) {
		t.Fatalf("got users %v, want one, by number, that is not root", users)
	}
	owned := slices.ContainsFunc(commands[*instructions.CopyCommand](image), func(c *instructions.CopyCommand) bool {
		return c.Chown == users[0].User && c.DestPath == "/var/lib/caddy/"
	})
	if !owned {
		t.Errorf("nothing gives /var/lib/caddy to %s", users[0].User)
	}
	health := commands[*instructions.HealthCheckCommand](image)
	if len(health) != 1 || health[0].Health.Test[0] != "CMD" || health[0].Health.StartPeriod.Seconds() < 30 {
		t.Errorf("got health checks %v, want one without a shell that leaves 30 s for the session file", health)
	}
}

// What a Dockerfile runs is what a tested document runs, or is run here.
func TestDockerfileRunsWhatIsTested(t *testing.T) {
	t.Parallel()
	tested := strings.Split(read(t, top+"/xcaddy.md"), "\n")
	stages, _ := dockerfile(t, docker+"Dockerfile")
	var arguments []string
	for _, arg := range commands[*instructions.ArgCommand](stages[0]) {
		for _, pair := range arg.Args {
			arguments = append(arguments, pair.Key)
		}
	}
	if want := []string{"GOPROXY", "VERSION", "TARGETOS", "TARGETARCH"}; !slices.Equal(arguments, want) {
		t.Errorf("the build stage: got arguments %v, want %v", arguments, want)
	}
	seen := 0
	for _, run := range commands[*instructions.RunCommand](stages[0]) {
		line := strings.Join(run.CmdLine, " ")
		seen++
		switch {
		case slices.Contains(tested, line):
		case line == "mkdir -p state/data state/config": // as the COPY of the image has it
		default:
			t.Errorf("RUN %s: xcaddy.md runs no such line", line)
		}
	}
	if seen != 3 {
		t.Errorf("got %d RUN lines, want 3", seen)
	}
}

// No secret beside the Compose files and no history gets into an image's layers.
func TestBuildContextHasNoSecrets(t *testing.T) {
	t.Parallel()
	lines := strings.Split(read(t, top+"/.dockerignore"), "\n")
	for _, want := range []string{".git", "**/.env", "**/secrets"} {
		if !slices.Contains(lines, want) {
			t.Errorf(".dockerignore: got no %s", want)
		}
	}
	lines = strings.Split(read(t, top+"/.gitignore"), "\n")
	for _, want := range []string{".env", "/examples/deploy/docker/secrets/"} {
		if !slices.Contains(lines, want) {
			t.Errorf(".gitignore: got no %s", want)
		}
	}
}

// compose loads Compose files, which includes their schema, as `docker compose` does.
func compose(t *testing.T, files ...string) *types.Project {
	t.Helper()
	folder, err := filepath.Abs(docker)
	if err != nil {
		t.Fatal(err)
	}
	details := types.ConfigDetails{WorkingDir: folder, Environment: types.Mapping{
		"DOMAIN": "api.example.com", "WECHAT_APPID": "wx0123456789abcdef",
	}}
	for _, file := range files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: filepath.Join(folder, file)})
	}
	project, err := loader.LoadWithContext(context.Background(), details)
	if err != nil {
		t.Fatalf("%v: %v", files, err)
	}
	return project
}

func TestCompose(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{
		"sqlite": {"compose.yaml"},
		"redis":  {"compose.yaml", "compose.redis.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project := compose(t, files...)
			for _, service := range project.Services {
				if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || service.Privileged ||
					!slices.Equal(service.SecurityOpt, []string{"no-new-privileges:true"}) {
					t.Errorf("%s may do more than it needs", service.Name)
				}
				if service.Name != "caddy" && (len(service.Ports) > 0 || !slices.Equal(service.NetworksByPriority(), []string{"back"})) {
					t.Errorf("%s can be reached without Caddy", service.Name)
				}
				for name, value := range service.Environment {
					if strings.Contains(name, "SECRET") || strings.Contains(name, "PASSWORD") || strings.Contains(name, "KEY") {
						t.Errorf("%s has the secret %s=%v in its environment", service.Name, name, value)
					}
				}
			}
			if !project.Networks["back"].Internal {
				t.Error("the network of the backend is not internal")
			}
			caddy := project.Services["caddy"]
			checkFiles(t, project, caddy)
			if got := volumeAt(caddy, "/var/lib/caddy/data"); got.Type != "volume" {
				t.Errorf("Caddy's data: got %+v, want a volume", got)
			}
			checkSecrets(t, caddy)
			if name == "redis" {
				redis := project.Services["redis"]
				if got := volumeAt(redis, "/data"); got.Type != "volume" {
					t.Errorf("the data of Redis: got %+v, want a volume", got)
				}
				checkSecrets(t, redis)
			}
		})
	}
}

func volumeAt(service types.ServiceConfig, target string) types.ServiceVolumeConfig {
	for _, volume := range service.Volumes {
		if volume.Target == target {
			return volume
		}
	}
	return types.ServiceVolumeConfig{}
}

// checkFiles finds what a service names in the checkout.
func checkFiles(t *testing.T, project *types.Project, service types.ServiceConfig) {
	t.Helper()
	for _, file := range []string{
		filepath.Join(service.Build.Context, service.Build.Dockerfile), volumeAt(service, "/etc/caddy/Caddyfile").Source,
	} {
		if !filepath.IsAbs(file) {
			file = filepath.Join(project.WorkingDir, file)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", service.Name, err)
		}
	}
}

// checkSecrets compares the secrets that a service gets with those that its Caddyfile or command reads.
func checkSecrets(t *testing.T, service types.ServiceConfig) {
	t.Helper()
	text := strings.Join(service.Command, "\n")
	if source := volumeAt(service, "/etc/caddy/Caddyfile").Source; source != "" {
		text = read(t, docker+filepath.Base(source))
	}
	var used, given []string
	for _, found := range regexp.MustCompile(`/run/secrets/(\w+)`).FindAllStringSubmatch(text, -1) {
		used = append(used, found[1])
	}
	for _, secret := range service.Secrets {
		given = append(given, secret.Source)
	}
	slices.Sort(used)
	slices.Sort(given)
	if !slices.Equal(used, given) || len(used) == 0 {
		t.Errorf("%s: got secrets %v, want %v", service.Name, given, used)
	}
}
