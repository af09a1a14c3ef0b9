package listformat

import "errors"

func readClashDomain(*reading) error { return errors.New("not written yet") }

func readClashClassical(*reading) error { return errors.New("not written yet") }
