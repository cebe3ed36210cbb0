/** The list of plugins. */
import type { JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@caterva2/jupyterlab:plugin',
  description: 'Caterva2 datasets in a sidebar.',
  autoStart: true,
  activate: () => undefined
};

export default [plugin];
