package embedded

import (
	"strings"
	"sync"

	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/apexlogic/apex/internal/gitops"
)

// schemaText says which lists of the built-in kinds are maps or sets, and by
// which keys, as Kubernetes' OpenAPI does (x-kubernetes-list-type). What it does
// not name is deduced: maps are merged by key, lists are replaced whole.
const schemaText = `types:
- name: any
  scalar: untyped
  list: {elementType: {namedType: whole}, elementRelationship: atomic}
  map: {elementType: {namedType: any}, elementRelationship: separable}
- name: whole
  scalar: untyped
  list: {elementType: {namedType: whole}, elementRelationship: atomic}
  map: {elementType: {namedType: whole}, elementRelationship: atomic}
- name: metadata
  map:
    fields:
    - {name: labels, type: {namedType: any}}
    - {name: annotations, type: {namedType: any}}
    - name: finalizers
      type: {list: {elementType: {scalar: string}, elementRelationship: associative}}
    - name: ownerReferences
      type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [uid]}}
    elementType: {namedType: any}
- name: object
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    elementType: {namedType: any}
- name: port
  map:
    fields:
    - {name: protocol, type: {scalar: string}, default: TCP}
    elementType: {namedType: any}
- name: container
  map:
    fields:
    - {name: env, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [name]}}}
    - {name: ports, type: {list: {elementType: {namedType: port}, elementRelationship: associative, keys: [containerPort, protocol]}}}
    - {name: volumeMounts, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [mountPath]}}}
    - {name: volumeDevices, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [devicePath]}}}
    elementType: {namedType: any}
- name: podSpec
  map:
    fields:
    - {name: containers, type: {list: {elementType: {namedType: container}, elementRelationship: associative, keys: [name]}}}
    - {name: initContainers, type: {list: {elementType: {namedType: container}, elementRelationship: associative, keys: [name]}}}
    - {name: ephemeralContainers, type: {list: {elementType: {namedType: container}, elementRelationship: associative, keys: [name]}}}
    - {name: volumes, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [name]}}}
    - {name: imagePullSecrets, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [name]}}}
    - {name: hostAliases, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [ip]}}}
    - {name: topologySpreadConstraints, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [topologyKey, whenUnsatisfiable]}}}
    elementType: {namedType: any}
- name: podTemplate
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - {name: spec, type: {namedType: podSpec}}
    elementType: {namedType: any}
- name: workloadSpec
  map:
    fields:
    - {name: template, type: {namedType: podTemplate}}
    elementType: {namedType: any}
- name: job
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - {name: spec, type: {namedType: workloadSpec}}
    elementType: {namedType: any}
- name: pod
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - {name: spec, type: {namedType: podSpec}}
    elementType: {namedType: any}
- name: cronJob
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - name: spec
      type:
        map:
          fields:
          - {name: jobTemplate, type: {namedType: job}}
          elementType: {namedType: any}
    elementType: {namedType: any}
- name: service
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - name: spec
      type:
        map:
          fields:
          - {name: ports, type: {list: {elementType: {namedType: port}, elementRelationship: associative, keys: [port, protocol]}}}
          elementType: {namedType: any}
    elementType: {namedType: any}
- name: webhooks
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - {name: webhooks, type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [name]}}}
    elementType: {namedType: any}
`

// typeOf names the type of a kind in the schema.
func typeOf(id gitops.ID) string {
	switch id.Kind + "." + id.Group {
	case "Pod.":
		return "pod"
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Job.batch":
		return "job" // all of them hold a Pod's template under spec
	case "CronJob.batch":
		return "cronJob"
	case "Service.":
		return "service"
	}
	if id.Group == "admissionregistration.k8s.io" && strings.HasSuffix(id.Kind, "WebhookConfiguration") {
		return "webhooks"
	}
	return "object"
}

// schemaOnce reads the schema when the first object is merged, not at start.
func schemaOnce() func() (*typed.Parser, error) {
	return sync.OnceValues(func() (*typed.Parser, error) { return typed.NewParser(schemaText) })
}
