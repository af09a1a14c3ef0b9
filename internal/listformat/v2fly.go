package listformat

import "errors"

func readV2fly(*reading) error { return errors.New("not written yet") }
