package model

import (
	"cmp"
	"slices"

	networking "k8s.io/api/networking/v1"
)

// Claimed returns the Ingresses that are this controller's, oldest first.
//
// An Ingress names its class in spec.ingressClassName or, as before Kubernetes 1.18, in the annotation
// kubernetes.io/ingress.class, which then has precedence. One that names none is of the default class.
func Claimed(rules Rules, objects Objects) []*networking.Ingress {
	ours := map[string]bool{}
	for _, class := range objects.Classes {
		if class.Spec.Controller == rules.Controller {
			ours[class.Name] = true
			// The empty name stands for an Ingress without a class.
			ours[""] = ours[""] || class.Annotations[networking.AnnotationIsDefaultIngressClass] == "true"
		}
	}
	var claimed []*networking.Ingress
	for _, ingress := range objects.Ingresses {
		if ours[className(ingress)] && ingress.DeletionTimestamp == nil {
			claimed = append(claimed, ingress)
		}
	}
	slices.SortFunc(claimed, older)
	return claimed
}

func className(ingress *networking.Ingress) string {
	if name, set := ingress.Annotations["kubernetes.io/ingress.class"]; set {
		return name
	}
	if ingress.Spec.IngressClassName != nil {
		return *ingress.Spec.IngressClassName
	}
	return ""
}

// older orders by age; names decide between those of the same second, so that the order is the same on every run.
func older(a, b *networking.Ingress) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name),
	)
}
