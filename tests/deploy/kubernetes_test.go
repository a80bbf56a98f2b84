// The Kubernetes manifests of examples/deploy, built by kustomize and decoded strictly into the types of the API.

package deploy_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kubernetes = top + "/examples/deploy/kubernetes/"

// cluster holds the objects that `kubectl apply -k` would send.
type cluster struct {
	namespace     corev1.Namespace
	api           appsv1.Deployment
	redis         appsv1.StatefulSet
	services      map[string]*corev1.Service
	ingress       networkingv1.Ingress
	budget        policyv1.PodDisruptionBudget
	policy        networkingv1.NetworkPolicy
	claim         corev1.PersistentVolumeClaim
	configuration corev1.ConfigMap
}

func build(t *testing.T) *cluster {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{services: map[string]*corev1.Service{}}
	for _, resource := range resources.Resources() {
		var into any
		switch kind := resource.GetKind(); kind {
		case "Namespace":
			into = &c.namespace
		case "Deployment":
			into = &c.api
		case "StatefulSet":
			into = &c.redis
		case "Service":
			service := new(corev1.Service)
			c.services[resource.GetName()] = service
			into = service
		case "Ingress":
			into = &c.ingress
		case "PodDisruptionBudget":
			into = &c.budget
		case "NetworkPolicy":
			into = &c.policy
		case "PersistentVolumeClaim":
			into = &c.claim
		case "ConfigMap":
			into = &c.configuration
		default:
			t.Fatalf("got a %s, which no test knows", kind)
		}
		text, err := resource.AsYAML()
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			t.Errorf("%s %s: %v", resource.GetKind(), resource.GetName(), err)
		}
		if resource.GetKind() != "Namespace" && resource.GetNamespace() != c.namespace.Name {
			t.Errorf("%s %s: got namespace %q", resource.GetKind(), resource.GetName(), resource.GetNamespace())
		}
	}
	return c
}

func selects(selector *metav1.LabelSelector, labels map[string]string) bool {
	chosen, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && !chosen.Empty() && chosen.Matches(labelSet(labels))
}

type labelSet map[string]string

func (l labelSet) Has(name string) bool              { _, ok := l[name]; return ok }
func (l labelSet) Get(name string) string            { return l[name] }
func (l labelSet) Lookup(name string) (string, bool) { value, ok := l[name]; return value, ok }

// Whatever names something else names something that is there.
func TestKubernetesReferences(t *testing.T) {
	t.Parallel()
	c := build(t)
	api, redis := c.api.Spec.Template, c.redis.Spec.Template
	if !selects(c.api.Spec.Selector, api.Labels) || !selects(c.budget.Spec.Selector, api.Labels) ||
		!selects(c.redis.Spec.Selector, redis.Labels) || !selects(&c.policy.Spec.PodSelector, redis.Labels) ||
		!selects(c.policy.Spec.Ingress[0].From[0].PodSelector, api.Labels) {
		t.Error("a selector chooses other pods than it should")
	}
	if selects(&c.policy.Spec.PodSelector, api.Labels) || selects(c.api.Spec.Selector, redis.Labels) {
		t.Error("a selector chooses pods that it should not")
	}
	for name, pod := range map[string]corev1.PodTemplateSpec{"api": api, "redis": redis} {
		service := c.services[name]
		if service == nil || !selects(&metav1.LabelSelector{MatchLabels: service.Spec.Selector}, pod.Labels) {
			t.Fatalf("%s: got no service that selects its pods", name)
		}
		for _, port := range service.Spec.Ports {
			if !hasPort(pod.Spec, port.TargetPort) {
				t.Errorf("%s: got a service for port %v, which no container has", name, port.TargetPort)
			}
		}
		for _, container := range pod.Spec.Containers {
			for _, probe := range []*corev1.Probe{container.ReadinessProbe, container.LivenessProbe} {
				if probe != nil && probe.HTTPGet != nil && !hasPort(pod.Spec, probe.HTTPGet.Port) {
					t.Errorf("%s: got a probe of port %v, which no container has", name, probe.HTTPGet.Port)
				}
			}
		}
	}
	backend := c.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if service := c.services[backend.Name]; service == nil || service.Spec.Ports[0].Name != backend.Port.Name {
		t.Errorf("the ingress leads to %+v", backend)
	}
	if c.redis.Spec.ServiceName != "redis" || !strings.Contains(c.configuration.Data["Caddyfile"], "redis://redis:6379") {
		t.Error("Caddy asks another Redis")
	}
	checkVolumes(t, c)
}

func hasPort(pod corev1.PodSpec, port intstr.IntOrString) bool {
	return slices.ContainsFunc(pod.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
			return p.Name == port.StrVal || p.ContainerPort == port.IntVal
		})
	})
}

// checkVolumes follows mounts to volumes, and those to what they are made of.
func checkVolumes(t *testing.T, c *cluster) {
	t.Helper()
	for name, pod := range map[string]corev1.PodSpec{"api": c.api.Spec.Template.Spec, "redis": c.redis.Spec.Template.Spec} {
		var volumes []string
		for _, claim := range c.redis.Spec.VolumeClaimTemplates {
			volumes = append(volumes, claim.Name)
		}
		for _, volume := range pod.Volumes {
			volumes = append(volumes, volume.Name)
			if config := volume.ConfigMap; config != nil && config.Name != c.configuration.Name {
				t.Errorf("%s: got ConfigMap %s, want %s", name, config.Name, c.configuration.Name)
			}
			if claim := volume.PersistentVolumeClaim; claim != nil && claim.ClaimName != c.claim.Name {
				t.Errorf("%s: got claim %s, want %s", name, claim.ClaimName, c.claim.Name)
			}
		}
		for _, container := range pod.Containers {
			for _, mount := range container.VolumeMounts {
				if !slices.Contains(volumes, mount.Name) {
					t.Errorf("%s mounts %s, which is no volume", name, mount.Name)
				}
			}
		}
	}
	if modes := c.claim.Spec.AccessModes; !slices.Equal(modes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}) {
		t.Errorf("the volume of the avatars: got %v, want one that all pods share", modes)
	}
}

// Every secret that a file reads is mounted where it is read, and is in the one that deploy.md has made.
func TestKubernetesSecrets(t *testing.T) {
	t.Parallel()
	c := build(t)
	made := map[string]bool{}
	for _, found := range regexp.MustCompile(`--from-(?:literal|file)=(\w+)=`).FindAllStringSubmatch(read(t, top+"/docs/deploy.md"), -1) {
		made[found[1]] = true
	}
	command := strings.Join(c.redis.Spec.Template.Spec.Containers[0].Command, " ")
	for text, pod := range map[string]corev1.PodSpec{
		c.configuration.Data["Caddyfile"]: c.api.Spec.Template.Spec, command: c.redis.Spec.Template.Spec,
	} {
		found := regexp.MustCompile(`(/run/secrets/\w+)/(\w+)`).FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("got no secret in %s", text)
		}
		for _, secret := range found {
			if !mounts(pod, secret[1], secret[2]) || !made[secret[2]] {
				t.Errorf("%s is not mounted, or not made", secret[0])
			}
		}
	}
	for _, variable := range c.api.Spec.Template.Spec.Containers[0].Env {
		if !made[variable.ValueFrom.SecretKeyRef.Key] {
			t.Errorf("%s is not made", variable.Name)
		}
	}
}

func mounts(pod corev1.PodSpec, folder, key string) bool {
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			if mount.MountPath == folder && volume.Name == mount.Name && volume.Secret != nil && volume.Secret.SecretName == "wechat" {
				return slices.ContainsFunc(volume.Secret.Items, func(item corev1.KeyToPath) bool { return item.Key == key && item.Path == key })
			}
		}
	}
	return false
}

// The pods keep the level "restricted" of the Pod Security Standards, and write to volumes only.
func TestKubernetesPodsAreRestricted(t *testing.T) {
	t.Parallel()
	c := build(t)
	if got := c.namespace.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	for name, pod := range map[string]corev1.PodSpec{"api": c.api.Spec.Template.Spec, "redis": c.redis.Spec.Template.Spec} {
		context := pod.SecurityContext
		if !*context.RunAsNonRoot || *context.RunAsUser == 0 || context.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
			*pod.AutomountServiceAccountToken || *context.FSGroup == 0 {
			t.Errorf("%s: got %+v", name, context)
		}
		for _, container := range pod.Containers {
			own := container.SecurityContext
			if *own.AllowPrivilegeEscalation || !*own.ReadOnlyRootFilesystem ||
				!slices.Equal(own.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(own.Capabilities.Add) > 0 {
				t.Errorf("%s, container %s: got %+v", name, container.Name, own)
			}
		}
	}
}

// A new version or a drained node takes no request away: one pod is always there, and each has time to finish.
func TestKubernetesReplacesPodsGently(t *testing.T) {
	t.Parallel()
	c := build(t)
	rolling := c.api.Spec.Strategy.RollingUpdate
	if *c.api.Spec.Replicas < 2 || rolling.MaxUnavailable.IntVal != 0 || rolling.MaxSurge.IntVal < 1 || c.budget.Spec.MinAvailable.IntVal != 1 {
		t.Errorf("got %d replicas, %+v, %+v", *c.api.Spec.Replicas, rolling, c.budget.Spec)
	}
	var needed time.Duration
	for _, option := range []string{"shutdown_delay", "grace_period"} {
		found := regexp.MustCompile(option + ` (\w+)\n`).FindStringSubmatch(c.configuration.Data["Caddyfile"])
		if found == nil {
			t.Fatalf("the Caddyfile has no %s", option)
		}
		duration, err := time.ParseDuration(found[1])
		if err != nil {
			t.Fatal(err)
		}
		needed += duration
	}
	if got := time.Duration(*c.api.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; got <= needed {
		t.Errorf("a pod is killed after %s, and may take %s", got, needed)
	}
}
