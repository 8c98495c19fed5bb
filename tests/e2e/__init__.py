"""What users do, on the embedded node: real KubeRay, kubelet, Ray and Envoy."""
