import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { RememberedErrors } from '../../src/providers/cache/remembered-errors.js'

it('forgets the oldest error when there are too many', () => {
  const errors = new RememberedErrors(3)
  for (const key of ['a', 'b', 'c', 'a', 'd']) errors.remember(key, new Error(key), 60_000)
  expect(['a', 'b', 'c', 'd'].filter((key) => errors.has(key))).toEqual(['a', 'c', 'd'])
})

it('makes room by forgetting what is over before what is not', async () => {
  const errors = new RememberedErrors(2)
  errors.remember('lasting', new Error('lasting'), 60_000)
  errors.remember('brief', new Error('brief'), 20)
  await sleep(50)
  errors.remember('latest', new Error('latest'), 60_000)
  expect(errors.has('lasting')).toBe(true)
  expect(() => errors.throwIfAny('latest')).toThrow('latest')
  expect(() => errors.throwIfAny('brief')).not.toThrow()
})
