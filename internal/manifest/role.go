package manifest

import (
	"strings"
	"sync"
)

// role is what is expected of a value. Mappings hand roles down to their fields
// ([role.field]), lists to their elements ([role.element]); the table hands out
// the first ones.
type role uint8

const (
	roleAny    role = iota // known by its shape only
	roleSkip               // cannot name an image or a model
	roleObject             // of a kind without a row
	roleMetadata
	roleAnnotations
	roleData    // ConfigMap and Secret: prose and settings
	roleEncoded // the same in base64
	roleSchema  // CustomResourceDefinition: prose and defaults

	rolePodTemplate
	rolePodSpec
	roleContainers
	roleInitContainers
	roleEphemeralContainers
	roleContainer
	roleInitContainer
	roleEphemeralContainer
	roleImage
	roleInitImage
	roleEphemeralImage
	roleVolumes
	roleVolume
	roleVolumeImage
	roleVolumeReference

	roleModel
	roleModelStorage // KServe's storage: a path in a bucket that a Secret names
	roleCode         // a URL of code or data that is loaded and run
	roleRegistryURL  // docker://…, oci-archive and others
	rolePackage      // Crossplane
	roleManifest     // text that holds objects
	roleRuntimeEnv   // text that holds Ray's settings
	roleRuntimeEnvField
	roleUploads // Ray's py_modules: a list of URLs or local paths

	roleArgoSpec
	roleArgoTemplates
	roleArgoTemplate
	roleArgoContainerSet
	roleArgoResource
	roleArgoDAG
	roleArgoSteps
	roleTektonPipeline
	roleTektonTasks
	roleTektonPipelineTask
	roleTektonTask
	roleSparkApplication
	roleSparkRole
	roleCount
)

// fields says which role each field of a mapping has; what is not listed is
// [roleAny]. Listed names must be spelled exactly: see [extractor.checkCase].
func (r role) fields() []field { return roleFields()[r] }

// roleFields lists the fields of every role once; nobody changes it.
var roleFields = sync.OnceValue(func() *[roleCount][]field {
	all := new([roleCount][]field) // a pointer, because a copy costs a kilobyte at each use
	for r := range roleCount {
		all[r] = r.declare()
	}
	return all
})

func (r role) declare() []field {
	switch r {
	case rolePodTemplate:
		return []field{{"metadata", roleMetadata}, {"spec", rolePodSpec}}
	case rolePodSpec:
		return []field{{"containers", roleContainers}, {"initContainers", roleInitContainers},
			{"ephemeralContainers", roleEphemeralContainers}, {"volumes", roleVolumes}}
	case roleContainer:
		return containerFields(roleImage)
	case roleInitContainer:
		return containerFields(roleInitImage)
	case roleEphemeralContainer:
		return containerFields(roleEphemeralImage)
	case roleVolume:
		// A Ceph block device is called an image; the volume image is another thing.
		return []field{{"image", roleVolumeImage}, {"rbd", roleSkip}}
	case roleVolumeImage:
		return []field{{"reference", roleVolumeReference}, {"pullPolicy", roleSkip}}
	case roleMetadata:
		return []field{{"annotations", roleAnnotations}}
	case roleRuntimeEnvField:
		return []field{{"runtime_env", roleRuntimeEnvField}, {"working_dir", roleCode}, {"py_modules", roleUploads},
			{"image_uri", roleImage}, {"applications", roleRuntimeEnvField}, {"deployments", roleRuntimeEnvField},
			{"ray_actor_options", roleRuntimeEnvField}, {"container", roleContainer}}
	case roleArgoSpec:
		return []field{{"templates", roleArgoTemplates}, {"templateDefaults", roleArgoTemplate}, {"volumes", roleVolumes}}
	case roleArgoTemplate:
		return []field{{"container", roleContainer}, {"script", roleContainer}, {"containerSet", roleArgoContainerSet},
			{"sidecars", roleContainers}, {"initContainers", roleInitContainers}, {"volumes", roleVolumes},
			{"resource", roleArgoResource}, {"steps", roleArgoSteps}, {"dag", roleArgoDAG}}
	case roleArgoContainerSet:
		return []field{{"containers", roleContainers}}
	case roleArgoResource:
		return []field{{"manifest", roleManifest}}
	case roleArgoDAG:
		return []field{{"tasks", roleArgoSteps}}
	case roleArgoSteps:
		return []field{{"inline", roleArgoTemplate}}
	case roleTektonPipeline:
		return []field{{"tasks", roleTektonTasks}, {"finally", roleTektonTasks}}
	case roleTektonPipelineTask:
		return []field{{"taskSpec", roleTektonTask}, {"pipelineSpec", roleTektonPipeline}}
	case roleTektonTask:
		return []field{{"steps", roleContainers}, {"sidecars", roleContainers}, {"stepTemplate", roleContainer}, {"volumes", roleVolumes}}
	case roleSparkApplication:
		return []field{{"image", roleImage}, {"driver", roleSparkRole}, {"executor", roleSparkRole}, {"volumes", roleVolumes}}
	case roleSparkRole:
		return append(containerFields(roleImage), field{"initContainers", roleInitContainers},
			field{"sidecars", roleContainers}, field{"template", rolePodTemplate})
	}
	return nil
}

type field struct {
	name string
	role role
}

// containerFields leaves env, command and args to [extractor.container], which
// reads them together.
func containerFields(image role) []field {
	return []field{{"image", image}, {"env", roleSkip}, {"command", roleSkip}, {"args", roleSkip}}
}

// field returns the role of a field.
func (r role) field(name string) role {
	switch r {
	case roleAnnotations, roleData, roleEncoded, roleSchema, roleSkip:
		return r
	}
	for _, f := range r.fields() {
		if f.name == name {
			return f.role
		}
	}
	if r == roleMetadata {
		return roleSkip // names, labels and owners
	}
	return roleAny
}

// loose reports whether the role says so little about a mapping that its shape
// says more.
func (r role) loose() bool {
	switch r {
	case roleAny, roleSkip, roleMetadata, roleAnnotations, roleData, roleEncoded, roleSchema:
		return true
	}
	return false
}

// element returns the role of a list's elements.
func (r role) element() role {
	switch r {
	case roleContainers:
		return roleContainer
	case roleInitContainers:
		return roleInitContainer
	case roleEphemeralContainers:
		return roleEphemeralContainer
	case roleVolumes:
		return roleVolume
	case roleArgoTemplates:
		return roleArgoTemplate
	case roleTektonTasks:
		return roleTektonPipelineTask
	case roleUploads:
		return roleCode
	case roleArgoSteps, roleData, roleEncoded, roleSchema, roleAnnotations, roleSkip, roleRuntimeEnvField:
		return r // nested lists included
	}
	return roleAny
}

// list reports whether the role stands for a list, so that anything else in
// its place would be read as nothing by us and as something by others.
func (r role) list() bool {
	switch r {
	case roleContainers, roleInitContainers, roleEphemeralContainers, roleVolumes, roleArgoTemplates, roleTektonTasks, roleUploads:
		return true
	}
	return false
}

// structure reports whether the role stands for a mapping.
func (r role) structure() bool {
	return r.fields() != nil && r != roleArgoSteps && r != roleRuntimeEnvField
}

// class returns the class of an image in this role.
func (r role) class() Class {
	switch r {
	case roleImage, rolePackage, roleRegistryURL:
		return ClassContainer
	case roleInitImage:
		return ClassInitContainer
	case roleEphemeralImage:
		return ClassEphemeralContainer
	case roleVolumeReference:
		return ClassImageVolume
	}
	return ClassUnclassified
}

// pattern is a kind's row of the table, compiled: which role waits at which path.
type pattern struct {
	role     role
	fields   map[string]*pattern
	anyField *pattern // "*"
	element  *pattern // "[]"
}

// field returns the pattern below a field; nil is a pattern that says nothing.
func (p *pattern) field(name string) *pattern {
	if p == nil {
		return nil
	}
	if next := p.fields[name]; next != nil {
		return next
	}
	return p.anyField
}

func (p *pattern) elements() *pattern {
	if p == nil {
		return nil
	}
	return p.element
}

// add enters one path of the table, for example
// "spec.{head,worker}[].template"; role waits at its end.
func (p *pattern) add(path string, r role) {
	before, rest, braces := strings.Cut(path, "{")
	if braces {
		names, after, _ := strings.Cut(rest, "}")
		for name := range strings.SplitSeq(names, ",") {
			p.add(before+name+after, r)
		}
		return
	}
	for step := range strings.SplitSeq(strings.ReplaceAll(path, "[]", ".[]"), ".") {
		switch step {
		case "":
		case "[]":
			if p.element == nil {
				p.element = &pattern{}
			}
			p = p.element
		case "*":
			if p.anyField == nil {
				p.anyField = &pattern{}
			}
			p = p.anyField
		default:
			if p.fields == nil {
				p.fields = map[string]*pattern{}
			}
			if p.fields[step] == nil {
				p.fields[step] = &pattern{}
			}
			p = p.fields[step]
		}
	}
	p.role = r
}
