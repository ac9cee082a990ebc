import { FLOOR } from '../contenders/contender.js'
import type { Measurement, Results, Spread } from '../results.js'

/** An operation's outcome in one line. */
export function lineOf(measured: readonly Measurement[]): string {
  const [first] = measured
  if (first === undefined) return ''
  const parts = measured.map((measurement) => `${measurement.contender} ${shortOf(measurement)}`)
  return `${first.operation} by ${first.callers}: ${parts.join(', ')}`
}

function shortOf({ contender, throughput, ratio }: Measurement): string {
  return contender === FLOOR || ratio === undefined ? `${numberOf(throughput.median)}/s` : ratioOf(ratio.median)
}

/** A ratio with two digits that count. */
export function ratioOf(ratio: number): string {
  return ratio >= 10 ? ratio.toFixed(0) : ratio >= 2 ? ratio.toFixed(1) : ratio.toFixed(2)
}

/** A ratio with its extremes. */
export function spreadOf({ median, least, most }: Spread): string {
  return `${ratioOf(median)} (${ratioOf(least)}–${ratioOf(most)})`
}

/** A number of three digits that count. */
export function numberOf(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 20 })
}

/** What went wrong of 1,000 operations, or nothing. */
export function faultsOf({ errors, wrong }: Pick<Measurement, 'errors' | 'wrong'>): string {
  return [errors > 0 ? `${numberOf(errors)} errors` : '', wrong > 0 ? `${numberOf(wrong)} wrong` : '']
    .filter((part) => part !== '')
    .join(', ')
}

/** Where and when the figures come from. */
export function environmentOf({ date, machine, servers }: Results): string {
  const { processor, cores, memory, node } = machine
  const versions = servers.map(({ version }) => productOf(version)).join(', ')
  return `Measured on ${date.slice(0, 10)}, client and servers on one machine: ${cores} cores of ${processor}, ${memory} GB, Node.js ${node.slice(1)}, ${versions}.`
}

function productOf(version: string): string {
  const [number] = version.split('-')
  return /mariadb/i.test(version) ? `MariaDB ${number}` : `MySQL ${number}`
}
