package listformat

import "errors"

func readClashDomain(*reading) error { return errors.New("not written yet") }

func readClashClassical(*reading) error { return errors.New("not written yet") }

func writeClashDomain(*writing) error { return errors.New("not written yet") }

func writeClashClassical(*writing) error { return errors.New("not written yet") }
