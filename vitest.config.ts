import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.{contract,test}.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Files wait for servers and clocks more than they compute; each has a database of its own.
    maxWorkers: 2,
    // The machines that run this are shared and noisy; what hangs is still found out.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
})
