// Command storage makes a folder of the node into a volume for each claim. It runs on the one node of the cluster,
// with the folder that holds the volumes mounted at the same path, so that no helper pod is needed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

type folders struct{ root, node string }

func (f folders) Provision(_ context.Context, want controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	if want.SelectedNodeName != "" && want.SelectedNodeName != f.node {
		err := fmt.Errorf("volumes are on node %s, the pod was meant for %s", f.node, want.SelectedNodeName)
		return nil, controller.ProvisioningReschedule, err
	}
	path := filepath.Join(f.root, want.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// The process's mask has taken bits away. A pod may run as any user, and claims name none.
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return f.volume(path, want), controller.ProvisioningFinished, nil
}

// volume is of kind "local" and not "hostPath": the kubelet gives only the first to a pod's fsGroup.
func (f folders) volume(path string, want controller.ProvisionOptions) *core.PersistentVolume {
	here := core.NodeSelectorRequirement{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{f.node}}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: want.PVName},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   want.PVC.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: want.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			NodeAffinity:                  &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{here}}}}},
			PersistentVolumeReclaimPolicy: *want.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			VolumeMode:                    want.PVC.Spec.VolumeMode,
		},
	}
}

func (f folders) Delete(_ context.Context, volume *core.PersistentVolume) error {
	if volume.Spec.Local == nil || volume.Spec.Local.Path != filepath.Join(f.root, volume.Name) {
		return &controller.IgnoredError{Reason: "its folder is not one of ours"}
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}

func main() {
	root := flag.String("root", "", "folder that holds the volumes")
	name := flag.String("provisioner", "", "name by which storage classes ask for this program")
	node := flag.String("node", "", "name of the node it runs on")
	flag.Parse()
	config, err := rest.InClusterConfig()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	controller.NewProvisionController(
		ctx, kubernetes.NewForConfigOrDie(config), *name, folders{*root, *node}, controller.LeaderElection(false),
	).Run(ctx)
}
