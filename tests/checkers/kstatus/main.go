// Command kstatus reads Kubernetes objects from standard input, as JSON, one after the other, and prints on a line for
// each what kstatus concludes from it: InProgress, Current, Failed or Terminating.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	decoder := json.NewDecoder(os.Stdin)
	for {
		var text json.RawMessage
		if err := decoder.Decode(&text); errors.Is(err, io.EOF) {
			return
		} else {
			must(err)
		}
		object := &unstructured.Unstructured{}
		must(object.UnmarshalJSON(text))
		result, err := status.Compute(object)
		must(err)
		fmt.Println(result.Status)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
