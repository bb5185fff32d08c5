package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func newKey() *cobra.Command {
	cmd := group(&cobra.Command{Use: "key", Short: "API keys"})
	var asJSON bool
	create := &cobra.Command{
		Use: "new", Short: "Make an API key and the hash of it that goes into the configuration", Args: cobra.NoArgs,
		Long: `Make an API key. It is printed once and stored nowhere: give it to whoever asks the API,
and put its hash into the tenant's apiKeys.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := rand.Text()
			sum := sha256.Sum256([]byte(key))
			hash := hex.EncodeToString(sum[:])
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"key": key, "sha256": hash})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "key:    %s\nsha256: %s\n", key, hash)
			return err
		},
	}
	create.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(create)
	return cmd
}
