package listformat

import "errors"

func readAdblock(*reading) error { return errors.New("not written yet") }

func writeAdblock(*writing) error { return errors.New("not written yet") }
