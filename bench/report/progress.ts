import { createLogUpdate } from 'log-update'
import type { Progress } from '../contest.js'
import type { Options } from '../options.js'
import type { Measurement } from '../results.js'
import { lineOf } from './words.js'

/** Shows how far the measuring is: redrawn on a terminal, a line for each operation elsewhere. */
export function openProgress(
  stream: NodeJS.WriteStream,
  server: string,
  { operations, callers }: Options,
): Progress & { end(): void } {
  const all = operations.length * callers.length
  const begin = performance.now()
  const log = stream.isTTY ? createLogUpdate(stream) : undefined
  let done = 0
  const position = (measured: readonly Measurement[]) => {
    const seconds = (performance.now() - begin) / 1000
    const left = (seconds / done) * (all - done)
    return `${server}: ${done} of ${all}, ${left.toFixed(0)} s left | ${lineOf(measured)}`
  }
  return {
    measured(measured) {
      done++
      if (log === undefined) stream.write(`${position(measured)}\n`)
      else log(position(measured))
    },
    end() {
      log?.clear()
      log?.done()
    },
  }
}
