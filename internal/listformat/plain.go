package listformat

import "errors"

func readPlain(*reading) error { return errors.New("not written yet") }

func writePlain(*writing) error { return errors.New("not written yet") }
