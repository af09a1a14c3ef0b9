package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/domain-route/domain-route/internal/listformat"
)

// listCategories prints the names of the lists in a geosite.dat, as import --category takes them.
func (a *app) listCategories(file string, bar *progress) error {
	names, err := a.categories(file)
	bar.end()
	var list *listformat.Error
	if errors.As(err, &list) {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err != nil {
		return err
	}
	return a.print("CategoryList", map[string]any{"categories": names}, func() {
		for _, n := range names {
			fmt.Fprintln(a.Stdout, printable(n))
		}
	})
}

func (a *app) categories(file string) ([]string, error) {
	r := io.NopCloser(a.Stdin)
	if file != standardInput {
		var err error
		if r, err = newInputs().open(file); err != nil {
			return nil, err
		}
	}
	defer r.Close()
	unpacked, err := listformat.Decompress(r)
	if err != nil {
		return nil, err
	}
	return listformat.Categories(unpacked)
}
