import { median } from 'd3-array'
import { type ContenderName, OURS } from '../contenders/contender.js'
import type { OperationName } from '../operations.js'
import type { Measurement, Results } from '../results.js'

/** The measurements of one operation, by one contender, with this many callers: one for each server. */
export function select(
  { measurements }: Results,
  operation: OperationName,
  contender: ContenderName,
  callers: number,
): readonly Measurement[] {
  return measurements.filter(
    (measurement) =>
      measurement.operation === operation && measurement.contender === contender && measurement.callers === callers,
  )
}

/** How many callers were measured. */
export const callersOf = ({ measurements }: Results): readonly number[] => [
  ...new Set(measurements.map(({ callers }) => callers)),
]

/** How many times the throughput of `other` this package has, on each server where both work. */
export function advantages(
  results: Results,
  operation: OperationName,
  other: ContenderName,
  callers: number,
): readonly number[] {
  const theirs = select(results, operation, other, callers)
  return select(results, operation, OURS, callers).flatMap(({ server, throughput }) => {
    const their = theirs.find((measurement) => measurement.server === server)?.throughput.median ?? 0
    return their === 0 ? [] : [throughput.median / their]
  })
}

/** The middle one; of two, their mean. 0 of none. */
export const middle = (values: readonly number[]): number => median(values) ?? 0
