import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import type { Step } from './worker-protocol.js'

/** Something bad that happens to a worker once the import has come this far. */
export interface Misfortune {
  /** The part of all rows that must have been imported, 0 to 1. */
  readonly at: number
  /** Which worker; the next one when this one is not at work. */
  readonly worker: number
  /** Killed after this step or at any moment, or suspended until somebody else has written to its shard. */
  readonly kind: { readonly name: 'kill'; readonly after: Step | 'any moment' } | { readonly name: 'suspend' }
}

// The last part is left in peace, so that everything happens before the end.
const FIRST = 0.05
const LAST = 0.7

// Every second one at whatever moment it is; the others where a thing was done and the next one was not,
// the places first where a careless import would lose rows or apply them twice.
const deaths = [
  'committed',
  'wrote',
  'recorded',
  'checkpointed',
  'looked up',
  'took a shard',
  'cleaned up',
  'resumed',
].flatMap((step) => [step as Step, 'any moment' as const])

/**
 * Draws when and how workers meet their end. The same seed gives the same misfortunes, though not the same run:
 * what the workers do at that time depends on the machine.
 */
export function drawMisfortunes(seed: number, workers: number, crashes: number, suspensions: number): Misfortune[] {
  const random = xoroshiro128plus(seed)
  const count = crashes + suspensions
  const kinds: Misfortune['kind'][] = [
    ...Array.from({ length: suspensions }, () => ({ name: 'suspend' }) as const),
    ...Array.from({ length: crashes }, (_, index) => ({
      name: 'kill' as const,
      after: deaths[index % deaths.length] as (typeof deaths)[number],
    })),
  ]
  return Array.from({ length: count }, (_, index) => ({
    at: FIRST + ((LAST - FIRST) * (index + uniformFloat64(random))) / count,
    worker: uniformInt(random, 0, workers - 1),
    kind: kinds.splice(uniformInt(random, 0, kinds.length - 1), 1)[0] as Misfortune['kind'],
  }))
}
