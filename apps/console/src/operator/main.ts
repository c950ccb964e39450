import { createApp } from 'vue';
import '../shared/theme.css';
import App from './App.vue';
import './operator.css';

createApp(App).mount('#console');
