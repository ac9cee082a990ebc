import Table from 'cli-table3'
import colours from 'picocolors'
import { FLOOR, OURS } from '../contenders/contender.js'
import type { Growth, Measurement } from '../results.js'
import { faultsOf, numberOf, ratioOf, spreadOf } from './words.js'

/** All measurements of one server as a table. */
export function tableOf(server: string, measurements: readonly Measurement[]): string {
  const table = new Table({
    head: [server, 'callers', 'by', 'per second', 'of the floor', 'round trips', 'client CPU', 'of 1,000'],
    colAligns: ['left', 'right', 'left', 'right', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  })
  let last: string | undefined
  for (const measurement of measurements) {
    const { operation, callers, contender, throughput, ratio, roundTrips, cpu } = measurement
    const cell = `${operation} ${callers}`
    const isFirst = cell !== last
    last = cell
    table.push([
      isFirst ? operation : '',
      isFirst ? callers : '',
      contender === OURS ? colours.bold(contender) : contender,
      numberOf(throughput.median),
      contender === FLOOR ? colours.dim('1') : ratio === undefined ? '' : tinted(ratio.median, spreadOf(ratio)),
      ratioOf(roundTrips),
      `${cpu} µs`,
      colours.red(faultsOf(measurement)),
    ])
  }
  return table.toString()
}

/** Throughput on growing tables. */
export function growthTableOf(growth: readonly Growth[]): string {
  const table = new Table({
    head: ['server', 'operation', 'rows', 'per second'],
    colAligns: ['left', 'left', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const { server, operation, rows, throughput } of growth) {
    table.push([server, operation, rows.toLocaleString('en'), numberOf(throughput.median)])
  }
  return table.toString()
}

function tinted(ratio: number, text: string): string {
  return ratio >= 0.9 ? colours.green(text) : ratio >= 0.5 ? colours.yellow(text) : colours.red(text)
}
