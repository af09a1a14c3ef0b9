// SPDX-License-Identifier: MIT

// client FAMILY PORT NAME...: for each name resolves it, connects, reads the server's line and prints "NAME LINE".
// FAMILY is 4, 6 or 0 for both. Exits 1 if a name failed. Built without cgo it resolves by itself.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func visit(network, name, port string) error {
	c, err := net.DialTimeout(network, net.JoinHostPort(name, port), 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	fmt.Println(name, strings.TrimSpace(line))
	return err
}

func main() {
	network := "tcp" + strings.Trim(os.Args[1], "0")
	failed := 0
	for _, name := range os.Args[3:] {
		if err := visit(network, name, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed = 1
		}
	}
	os.Exit(failed)
}
