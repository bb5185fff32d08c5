package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/pinstatus/pinstatus/cmd/pinstatus/config"
)

// The example's configuration is taken, and its key is the one that README.md says.
func TestExampleConfig(t *testing.T) {
	const file, key = "config/pinstatus.yaml", "dev-support-desk"
	if _, err := config.Load(file); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(key))
	if !strings.Contains(string(text), "sha256: "+hex.EncodeToString(hash[:])) || !strings.Contains(string(readme), "App "+key+"'") {
		t.Errorf("%s has another key than %s, or README.md", file, key)
	}
}
