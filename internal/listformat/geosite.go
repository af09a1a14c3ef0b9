package listformat

import "errors"

func readGeosite(*reading) error { return errors.New("not written yet") }

func writeGeosite(*writing) error { return errors.New("not written yet") }
