package main

import (
	"fmt"
	"strings"
)

// cell is one field of a table.
type cell struct{ text, style string }

// align pads every cell but the last of a row to the width of its column.
func align(rows [][]cell) [][]cell {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len(c.text))
		}
	}
	aligned := make([][]cell, 0, len(rows))
	for _, row := range rows {
		var padded []cell
		for i, c := range row {
			if i < len(row)-1 {
				c.text += strings.Repeat(" ", widths[i]-len(c.text))
			}
			padded = append(padded, c)
		}
		aligned = append(aligned, padded)
	}
	return aligned
}

// journeysTable has a row for each address that a client went to, and the packets by each uplink.
func journeysTable(journeys []journey) [][]cell {
	heading := []cell{{text: "NAME"}, {text: "ADDRESS"}, {text: "RULE SAYS"}, {text: "TCP"}, {text: "UDP"}}
	heading = append(heading, cell{text: strings.Join(uplinks, " ")})
	rows := [][]cell{heading}
	for _, j := range journeys {
		var packets []string
		for _, u := range uplinks {
			packets = append(packets, fmt.Sprintf("%*d", len(u), j.packets[u]))
		}
		rows = append(rows, []cell{
			{text: j.name}, {text: j.address.String()}, {text: j.says},
			outcomeCell(j.tcp), outcomeCell(j.udp), {text: strings.Join(packets, " ")},
		})
	}
	return rows
}

func outcomeCell(outcome string) cell {
	switch outcome {
	case defaultUplink:
		return cell{outcome, plain}
	case vpn:
		return cell{outcome, green}
	}
	return cell{outcome, red}
}
