// What an application asks with the official SDK; it prints what it saw as JSON. Arguments: gRPC port, HTTP port, store.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	dapr "github.com/dapr/go-sdk/client"
)

type seen struct {
	Keys    []string          `json:"keys"`
	Data    []json.RawMessage `json:"data"`
	Refused string            `json:"refused"`
}

func main() {
	client, err := dapr.NewClientWithAddress("127.0.0.1:" + os.Args[1])
	if err != nil {
		panic(err)
	}
	defer client.Close()
	ctx := context.Background()
	found := seen{}
	token := ""
	for {
		query := `{"filter":{"EQ":{"city":"Bern"}},"sort":[{"key":"total","order":"DESC"}],"page":{"limit":1,"token":"` + token + `"}}`
		page, err := client.QueryStateAlpha1(ctx, os.Args[3], query, nil)
		if err != nil {
			panic(err)
		}
		if len(page.Results) == 0 {
			break
		}
		for _, each := range page.Results {
			found.Keys = append(found.Keys, each.Key)
			found.Data = append(found.Data, json.RawMessage(each.Value))
		}
		token = page.Token
	}
	_, err = client.QueryStateAlpha1(ctx, os.Args[3], `{"filter":{"FOO":1}}`, nil)
	found.Refused = fmt.Sprint(err)
	out, _ := json.Marshal(found)
	fmt.Println(string(out))
}
